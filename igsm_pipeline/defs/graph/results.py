"""What Dagster shows beside a materialization: data version, counts, rates, a plot, links."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from igsm_pipeline.defs.graph.links import report_url
from igsm_pipeline.defs.graph.partitions import MEMBERS
from igsm_pipeline.defs.graph.shown import markdown_table, stage_plot, stage_table
from igsm_pipeline.defs.tracking.addresses import model_url, run_url
from igsm_pipeline.defs.tracking.registry import Registration
from igsm_pipeline.defs.tracking.runs import read_note
from igsm_pipeline.planning.planner import catalog_rows
from igsm_pipeline.running.judging import checks_of
from igsm_pipeline.running.stage_runs import StageRun
from igsm_pipeline.settings import hash_json
from igsm_pipeline.stage import Stage
from igsm_pipeline.store import MANIFEST, Store, Unit, find_home, write_atomically

MOST_CURVES = 12
"""Numbers of a check under one name that are drawn one by one."""
Metadata = dict[str, dg.MetadataValue | dg.TableSchema | str | int | float]


def materialized(run: StageRun, extra: Mapping[str, Any] | None = None) -> dg.MaterializeResult[Any]:
    """The result of an asset. A hit and a miss differ only in what they say about the cache.

    Args:
        run: the stage run.
        extra: more metadata, such as the MLflow run.

    Returns:
        A result whose data version is the content of all units, with the outcomes of the stage's checks.
    """
    return dg.MaterializeResult(
        data_version=dg.DataVersion(run.content),
        metadata={**stage_metadata(run), **(extra or {})},
        check_results=check_results(run),
        tags={"igsm/cache": "hit" if run.hit else "miss"},
    )


def check_specs(stage: Stage) -> list[dg.AssetCheckSpec]:
    """The checks of a stage as Dagster declares them, each with an outcome per member."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # Dagster calls checks per partition a preview; its version is pinned
        return [
            dg.AssetCheckSpec(check.name, asset=stage.name, description=check.words, blocking=check.blocking, partitions_def=MEMBERS)
            for check in checks_of(stage)
        ]


def check_results(run: StageRun) -> list[dg.AssetCheckResult]:
    """The outcome of every check of a stage; a failed check that is not blocking is a warning."""
    return [
        dg.AssetCheckResult(
            passed=outcome.passed,
            check_name=check.name,
            asset_key=run.stage.name,
            severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
            description=outcome.message,
            metadata=plotted(outcome.metadata),
        )
        for check, outcome in run.outcomes.items()
    ]


def plotted(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a check found, with its numbers one by one, so that Dagster draws each over the runs.

    Of many numbers under one name, the least and the greatest are drawn; all of them stand in the table.
    """
    shown: dict[str, Any] = {}
    for name, value in metadata.items():
        shown[name] = value
        numbers = {key: one for key, one in value.items() if _is_number(one)} if isinstance(value, Mapping) else {}
        if len(numbers) > MOST_CURVES:
            shown |= {f"{name}, least": float(min(numbers.values())), f"{name}, greatest": float(max(numbers.values()))}
        else:
            shown |= {f"{name}: {key}": float(one) for key, one in numbers.items()}
    return shown


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def stage_metadata(run: StageRun) -> Metadata:
    """The metadata that Dagster shows beside a materialization."""
    metadata: Metadata = {
        "cache": "hit" if run.hit else "miss" if len(run.stale) == len(run.units) else f"{len(run.units) - len(run.stale)} of {len(run.units)} hit",
        "fingerprint": run.fingerprint,
        "seconds": round(run.seconds, 3),
        "seconds to compute": round(sum(manifest["seconds"] for manifest in run.manifests.values()), 3),
        "bytes": sum(manifest["bytes"] for manifest in run.manifests.values()),
        "units": dg.MetadataValue.md(units_table(run)),
        **run.counts,
    }
    if len(run.units) == 1:
        metadata |= {name: value for name, value in run.manifests[run.units[0]]["counts"].items() if isinstance(value, str | float)}
    metadata |= _rates(run) | _table_metadata(run)
    if run.units:
        folder = run.folders()[0] if len(run.units) == 1 else run.store.root / run.stage.name
        metadata["store folder"] = dg.MetadataValue.path(folder)
        metadata["dagster/uri"] = folder.as_uri()
    if run.units:
        metadata["in the report"] = dg.MetadataValue.url(report_url(run.member.key, run.stage.name))
    if run.stage.name == "report" and run.units:
        metadata["page"] = dg.MetadataValue.path(run.folders()[0] / "report.html")
        metadata["play it live"] = " ".join(["igsm play", str(run.units[0].settings["member"])])
    if table := stage_table(run):
        metadata["table"] = dg.MetadataValue.md(table)
    if plot := stage_plot(run):
        metadata["plot"] = dg.MetadataValue.md(plot)
    return metadata | mlflow_links(run.units)


def mlflow_links(units: Sequence[Unit]) -> Metadata:
    """Links to the MLflow run of the checkpoint that units are or were made from; none without a run."""
    for unit in units:
        for checkpoint in (one for one in (unit, *unit.inputs.values()) if one.stage == "checkpoint"):
            if note := read_note(checkpoint):
                return {"MLflow run": dg.MetadataValue.url(run_url(**note)), "MLflow run id": str(note["run_id"])}
    return {}


def units_table(run: StageRun) -> str:
    """A Markdown table of the units: cache, counts, seconds, fingerprint, and why a unit was computed."""
    rows = [
        (
            unit.name,
            "; ".join(run.stale[unit]) if unit in run.stale else "hit",
            ", ".join(f"{_number(value)} {name}" for name, value in run.manifests[unit]["counts"].items()),
            f"{run.manifests[unit]['seconds']:.1f}",
            f"`{unit.fingerprint}`",
        )
        for unit in run.units
    ]
    return markdown_table(("unit", "computed because", "counts", "s", "fingerprint"), rows)


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _rates(run: StageRun) -> Metadata:
    """Rows per computed second, from the times in the manifests."""
    rates: Metadata = {}
    for name in ("num_problems", "problems", "tokens", "num_tokens", "queries", "solutions", "predictions"):
        timed = [m for m in run.manifests.values() if m["counts"].get(name) and m["seconds"] > 0]
        if timed:
            rates[f"{name.removeprefix('num_')} per second"] = round(sum(m["counts"][name] for m in timed) / sum(m["seconds"] for m in timed), 1)
    return rates


def _table_metadata(run: StageRun) -> Metadata:
    """The number of rows of all tables, and the columns of the first one with their declared meanings."""
    tables = run.tables()
    if not tables:
        return {}
    declared = [table for table in run.stage.tables if tables[0].match(table.files)]
    meanings = {column.name.strip('"'): column.meaning for table in declared for column in table.columns if column.stored}
    schema = pq.read_schema(tables[0])
    columns = [dg.TableColumn(field.name, str(field.type), meanings.get(field.name, meanings.get(_pattern(field.name)))) for field in schema]
    rows = sum(pq.read_metadata(path).num_rows for path in tables)
    return {"dagster/row_count": rows, "dagster/column_schema": dg.TableSchema(columns=columns)}


def _pattern(name: str) -> str:
    """The declared name of numbered columns: layer_* for layer_3."""
    return f"{name.rpartition('_')[0]}_*"


def registered(registration: Registration) -> dg.MaterializeResult[Any]:
    """The result of the asset ``registered_model``."""
    score = registration.score
    return dg.MaterializeResult(
        data_version=dg.DataVersion(registration.content),
        metadata={
            "cache": "hit" if registration.hit else "miss",
            "registered model": f"{registration.name} version {registration.version}",
            "MLflow model": dg.MetadataValue.url(model_url(registration.name, registration.version)),
            "fingerprint": registration.fingerprint,
            "champion": registration.champion,
            "why": registration.why,
            "accuracy": score.correct.value,
            "interval": f"{score.correct.low:.4f} to {score.correct.high:.4f} (n = {score.correct.n:,})",
            "test set": score.test_set,
            "MLflow run id": registration.run_id,
        },
        tags={"igsm/cache": "hit" if registration.hit else "miss"},
    )


def not_registered() -> dg.MaterializeResult[Any]:
    """The result of the asset ``registered_model`` for a member whose model does not compete."""
    why = "evaluation.slices has no op<=max, or evaluation.beams no 1: models are compared by their greedy solutions of that slice"
    return dg.MaterializeResult(data_version=dg.DataVersion("none"), metadata={"registered model": "none", "why": why}, tags={"igsm/cache": "miss"})


def _written(path: Path) -> int:
    """When a file was written, in nanoseconds; 0 if it has gone meanwhile."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def catalogued(member: str) -> dg.MaterializeResult[Any]:
    """Rebuild the catalog if a unit or view has changed since it was built; returns the result of the asset ``catalog``.

    Args:
        member: key of the member that was run; the catalog has all members.
    """
    from igsm_pipeline.catalog.catalog import CATALOG, build_catalog  # noqa: PLC0415  (duckdb)
    from igsm_pipeline.catalog.views import SUMMARIES, file_tables  # noqa: PLC0415

    home, rows = find_home(), catalog_rows(Store.at_home())
    contents = sorted([row["member"], row["name"], str(row["folder"]), _written(row["folder"] / MANIFEST)] for row in rows)
    state = hash_json([contents, repr((file_tables(), SUMMARIES))])
    note, path = home / ".dagster" / "catalog.state", home / CATALOG
    hit = path.is_file() and note.is_file() and note.read_text() == f"{state} {_written(path)}"  # `igsm sql` writes the file, too
    if not hit:
        build_catalog(rows, home)
        note.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(note, f"{state} {_written(path)}".encode())
    return dg.MaterializeResult(
        data_version=dg.DataVersion(state),
        metadata={
            "cache": "hit" if hit else "miss",
            "catalog": dg.MetadataValue.path(path),
            "units": len(rows),
            "bytes": path.stat().st_size,
            "rebuilt after": member,
        },
        tags={"igsm/cache": "hit" if hit else "miss"},
    )
