import shutil

from edge_agent.machine import CPU_S, Machine, OwnProcess

MEMORY = (
    "MemTotal:       8000000 kB\nMemFree:         100000 kB\nMemAvailable:   2000000 kB\nHugePages_Total:       0\n"
)


def machine_of(folder, *, busy=0, idle=0, zones=()):
    (folder / "proc").mkdir(exist_ok=True)
    (folder / "proc/stat").write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3 4\n")
    (folder / "proc/meminfo").write_text(MEMORY)
    for number, reading in enumerate(zones):
        zone = folder / f"zones/thermal_zone{number}"
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "temp").write_text(reading)
    return Machine(folder, proc=folder / "proc", zones=folder / "zones")


def test_memory_disk_and_the_hottest_zone_are_told(tmp_path):
    told = machine_of(tmp_path, zones=("41000\n", "68500\n", "not a number")).look(0.0)
    assert (told.memory_mb, told.memory_free_mb, told.temperature_c) == (8192.0, 2048.0, 68.5)
    assert told.disk_mb == round(shutil.disk_usage(tmp_path).total / 1e6, 1) and 0 < told.disk_free_mb < told.disk_mb


def test_the_processors_share_is_a_mean_over_ten_seconds(tmp_path):
    machine = machine_of(tmp_path, busy=100, idle=900)
    assert machine.look(0.0).cpu_ratio is None
    machine_of(tmp_path, busy=200, idle=1800)
    assert machine.look(CPU_S / 2).cpu_ratio is None
    machine_of(tmp_path, busy=350, idle=1650)
    assert machine.look(CPU_S).cpu_ratio == 0.25
    machine_of(tmp_path, busy=9999, idle=1650)
    assert machine.look(CPU_S + 1).cpu_ratio == 0.25


def test_a_machine_that_tells_nothing_gives_none_and_no_fault(tmp_path):
    told = Machine(tmp_path / "gone", proc=tmp_path / "none", zones=tmp_path / "none").look(0.0)
    assert (told.cpu_ratio, told.memory_mb, told.temperature_c, told.disk_mb) == (None, None, None, None)


def test_a_process_knows_since_when_it_runs_and_what_it_has_used():
    own = OwnProcess(lambda: 0.0).look()
    assert own.started_at == "1970-01-01T00:00:00.000Z" and own.cpu_s > 0 and own.resident_mb > 1
