from benchmarks import metrics_page
from cloud_sync.cloud_metrics import CATALOGUE as CLOUD
from edge_agent.panel_metrics import CATALOGUE as DEVICE


def test_the_page_has_the_tables_that_the_code_gives():
    page = metrics_page.PAGE.read_text(encoding="utf-8")
    assert page == metrics_page.written(page), "run: ./tankwatch docs"
    assert [one.name for one in (*DEVICE, *CLOUD) if f"| `{one.name}` |" not in page] == []


def test_no_name_means_one_thing_on_the_device_and_another_in_the_cloud():
    assert not {one.name for one in DEVICE} & {one.name for one in CLOUD}


def test_the_page_says_the_limits_that_hold():
    from cloud_sync.metrics_pages import CLIPS_S, FIGURES_S
    from edge_agent.signs_of_life import INSPECT_SILENT_S, UPLINK_SILENT_S

    assert (INSPECT_SILENT_S, UPLINK_SILENT_S, FIGURES_S, CLIPS_S) == (5, 15, 5, 300)
