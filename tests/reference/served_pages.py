"""The pages that `igsm ui` serves, and what Dagster says of its runs."""

import json
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

LONG_S = 900
_RUNS = """{
  runsOrError(limit: 20) { ... on Runs { results { runId status tags { key value } } } }
  partitionBackfillsOrError(limit: 5) { ... on PartitionBackfills { results { id status partitionNames } } }
}"""


@dataclass(frozen=True)
class Pages:
    """Where the pages are, who serves them, and over which data root."""

    dagster: str
    mlflow: str
    pid: int
    home: Path

    def ask(self, query: str) -> dict:
        """The data of a GraphQL query."""
        request = urllib.request.Request(f"{self.dagster}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=LONG_S) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def partitions_done(self, number: int) -> set[str]:
        """The partitions of the runs that have succeeded, once there are ``number`` of them."""
        deadline = time.monotonic() + LONG_S
        while time.monotonic() < deadline:
            runs = self.ask(_RUNS)["runsOrError"]["results"]
            done = [tag["value"] for run in runs if run["status"] == "SUCCESS" for tag in run["tags"] if tag["key"] == "dagster/partition"]
            if len(done) >= number:
                return set(done)
            time.sleep(1)
        raise AssertionError(f"not {number} runs within {LONG_S} s: {runs}")

    def backfills(self) -> list[dict]:
        """The backfills, newest first."""
        return self.ask(_RUNS)["partitionBackfillsOrError"]["results"]
