"""The documents table as a queue: nothing is lost, nothing is worked on twice at a time, nothing is tried for ever."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from aiprism_lab.database import create_tables, open_database
from aiprism_lab.documentqueue import KEEP_SECONDS, LEASE_SECONDS, MAX_ATTEMPTS, DocumentQueue
from aiprism_lab.documents import DocumentFormat
from aiprism_lab.pipeline import Report
from aiprism_lab.wiring import Identity

OWNER = Identity("request-1", "user-1", "alder", "premium")
NOW = 1_700_000_000.0
REPORT = Report("Title", "policy", [], [], {"high": 0}, 0.9, True, False, 1200, 0.02)


@pytest.fixture
def queue_of(tmp_path):
    url = f"sqlite:///{tmp_path / 'lab.db'}"
    create_tables(url)
    engine = open_database(url)
    yield lambda instance: DocumentQueue(engine, tmp_path / "documents", instance)
    engine.dispose()


@pytest.fixture
def queue(queue_of):
    return queue_of("document-processor-1")


def add(queue, now=NOW) -> str:
    document_id: str = queue.add(OWNER, "a.txt", DocumentFormat.TEXT, b"some text", now)
    return document_id


def test_the_oldest_document_is_claimed_first_and_only_once(queue):
    first, second = add(queue, NOW), add(queue, NOW + 1)
    assert queue.length() == 2
    claimed = [queue.claim(NOW + 2) for _ in range(3)]
    assert [each and each.job.document_id for each in claimed] == [first, second, None]
    assert (claimed[0].requested_by, claimed[0].job.upload.read_bytes()) == (OWNER, b"some text")
    assert queue.length() == 0


def test_workers_that_claim_at_once_get_different_documents(queue_of):
    queues = [queue_of(f"document-processor-{number}") for number in range(4)]
    added = {add(queues[0], NOW + number) for number in range(12)}
    with ThreadPoolExecutor(4) as pool:
        claimed = [each for each in pool.map(lambda n: queues[n % 4].claim(NOW + 60), range(40)) if each]
    names = [each.job.document_id for each in claimed]
    assert len(names) == len(set(names))
    assert set(names) <= added


def test_a_restarted_replica_takes_up_what_it_had_begun_and_leaves_the_others_theirs(queue_of):
    one, two = queue_of("document-processor-1"), queue_of("document-processor-2")
    mine, theirs = add(one, NOW), add(one, NOW + 1)
    assert one.claim(NOW + 2).job.document_id == mine
    assert two.claim(NOW + 2).job.document_id == theirs
    assert queue_of("document-processor-1").resume(NOW + 3) == 1
    assert one.claim(NOW + 4).job.document_id == mine
    assert one.claim(NOW + 4) is None


def test_a_document_given_back_is_claimed_again_without_counting_as_a_failure(queue):
    document_id = add(queue)
    for _ in range(MAX_ATTEMPTS + 2):
        assert queue.claim(NOW).job.document_id == document_id
        queue.give_back(document_id)
    assert queue.length() == 1


def test_a_document_of_a_replica_that_is_gone_is_taken_over_when_its_lease_is_over(queue_of):
    gone, other = queue_of("document-processor-2"), queue_of("document-processor-1")
    document_id = add(gone)
    gone.claim(NOW)
    assert other.claim(NOW + LEASE_SECONDS - 1) is None
    assert other.claim(NOW + LEASE_SECONDS + 1).job.document_id == document_id


def test_a_document_that_breaks_its_processor_every_time_is_given_up(queue):
    document_id = add(queue)
    for attempt in range(MAX_ATTEMPTS):
        assert queue.claim(NOW + attempt)
        queue.resume(NOW + attempt)
    row = queue.found(document_id, "alder")
    assert (row["status"], row["reason"]) == ("failed", f"processing broke off {MAX_ATTEMPTS} times")


def test_a_document_abandoned_too_often_is_given_up(queue):
    document_id, now = add(queue), NOW
    for _ in range(MAX_ATTEMPTS):
        assert queue.claim(now)
        now += LEASE_SECONDS + 1
    assert queue.claim(now) is None
    queue.tidy(now)
    assert queue.found(document_id, "alder")["status"] == "failed"


def test_results_are_counted_for_each_organisation(queue):
    for number in range(3):
        document_id = add(queue)
        if number:
            queue.finish(document_id, REPORT, NOW + number)
        else:
            queue.fail(document_id, "unreadable", NOW)
    assert [dict(row) for row in queue.statistics(NOW)] == [{"organization": "alder", "completed": 2, "cost_usd": 0.04}]
    assert [dict(row)["completed"] for row in queue.statistics(NOW + 2)] == [1]


def test_old_texts_and_results_are_let_go_and_stay_counted(queue):
    document_id = add(queue)
    upload = queue.claim(NOW).job.upload
    queue.finish(document_id, REPORT, NOW)
    queue.tidy(NOW + KEEP_SECONDS - 1)
    assert queue.found(document_id, "alder")["result"]["title"] == "Title"
    queue.tidy(NOW + KEEP_SECONDS + 1)
    row = queue.found(document_id, "alder")
    assert (row["status"], row["result"], upload.exists()) == ("forgotten", None, False)
    assert queue.statistics(NOW)[0]["completed"] == 1


def test_another_organisation_finds_nothing(queue):
    assert queue.found(add(queue), "brightwater") is None
