import functools
import itertools
import signal

from benchmarks import flow
from benchmarks.installation import Processes, make_configs
from benchmarks.made_cases import make_case
from edge_agent.outbox import Outbox
from edge_agent.spool import Spool


def test_a_put_that_was_cut_off_after_its_file_is_said_and_waits_after_the_next_start(tmp_path):
    device, _ = make_configs(tmp_path, 1883)
    Outbox.open(device.outbox_path, device.spool_path).close()
    Spool(device.spool_path).keep_case(make_case(1, sequence=1))
    processes = Processes({"inspect": functools.partial(signal.pause)})
    processes.start("inspect")
    assert flow.last_word(processes, device).keys() == {make_case(1).case_id}
    outbox = Outbox.attach(device.outbox_path, device.spool_path)
    assert [case.case_id for case in outbox.waiting_cases(5)] == [make_case(1).case_id]
    outbox.close()


def test_one_disagreement_in_five_is_made_and_every_agreement():
    made = list(itertools.takewhile(lambda number: number <= 45, flow.numbers()))
    assert [number for number in made if number % 3 == 0] == [15, 30, 45] and len(made) == 33
