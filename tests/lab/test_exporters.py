"""The questions to each exporter's metrics, evaluated by Prometheus's own promtool over made-up series."""

from __future__ import annotations

import json
import subprocess

import pytest

from gpuwatch_tray.common.redact import pseudonym
from gpuwatch_tray.lab.exporters import (
    DCGM,
    EXPORTERS,
    GPUWATCH,
    NVIDIA_SMI,
    NVITOP,
    found_exporters,
    missing_notes,
)
from gpuwatch_tray.lab.promql import (
    ALERTS,
    exporters_query,
    host_alerts_query,
    host_queries,
    lacking_query,
    roomy_name,
    roomy_queries,
    target_queries,
)
from gpuwatch_tray.model import RoomWanted
from gpuwatch_tray.model.units import MIB
from tests.support.unpacked import unpacked

QUARTER = "15m"
JOB = 'job="gpuwatch"'


def series(name, values="1x20", **labels):
    """A series of one sample a minute, in promtool's notation."""
    told = "".join(f',{label}="{value}"' for label, value in labels.items())
    return {"series": f"{name}{{{JOB}{told}}}", "values": values}


def check(tmp_path, given, expected, at=QUARTER):
    """Have promtool evaluate each question at a time; `expected` maps it to numbers by instance."""
    tests = [
        {
            "expr": text,
            "eval_time": at,
            "exp_samples": [
                {"labels": f'{{instance="{instance}"}}', "value": value}
                for instance, value in numbers.items()
            ],
        }
        for text, numbers in expected
    ]
    evaluate(tmp_path, given, tests)


def evaluate(tmp_path, given, tests):
    """Have promtool run these tests of expressions."""
    file = tmp_path / "test.yml"
    group = {"interval": "1m", "input_series": given, "promql_expr_test": tests}
    file.write_text(json.dumps({"rule_files": [], "evaluation_interval": "1m", "tests": [group]}))  # as YAML
    done = subprocess.run(
        [unpacked("usr/bin/promtool"), "test", "rules", file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def asked(exporters, me="ada"):
    return host_queries("gpuwatch", me, exporters)


def gpu(name, values, host="a", uuid="U0", uuid_label="uuid"):
    return series(name, values, instance=host, **{uuid_label: uuid})


def test_targets_are_asked_by_age_state_and_past(tmp_path):
    """When each was scraped, which fail, and which were there within the hour and are no targets now."""
    queries = target_queries("gpuwatch")
    given = [
        series("up", "1x15", instance="a"),
        series("up", "1x14 0", instance="b"),
        series("up", "1x5 stale", instance="c"),
        {"series": 'up{job="other",instance="d"}', "values": "1x15"},
    ]
    expected = [
        (queries["scraped"], {"a": 900, "b": 900}),
        (queries["down"], {"b": 0}),
        (queries["gone"], {"c": 1}),
    ]
    check(tmp_path, given, expected)


def test_of_two_targets_with_one_name_the_worse_counts(tmp_path):
    """A name that is given twice is never better than its worse half."""
    queries = target_queries("gpuwatch")
    given = [series("up", "1x15", instance="a", shard="0"), series("up", "0x12", instance="a", shard="1")]
    check(tmp_path, given, [(queries["scraped"], {"a": 720}), (queries["down"], {"a": 0})])


def test_our_own_exporter_tells_all_of_a_host(tmp_path):
    """Read and free are rows; one's own is 0 only where the owner of every process is told."""
    queries = asked((GPUWATCH,))
    given = [
        *(
            series("gpuwatch_reading_ok", f"{ok}x20", instance=host)
            for host, ok in (("a", 1), ("b", 0), ("c", 1))
        ),
        *(series("gpuwatch_last_reading_timestamp_seconds", "100+60x20", instance=host) for host in "abc"),
        *(series("gpuwatch_user_list_complete", f"{c}x20", instance=h) for h, c in (("a", 1), ("c", 0))),
        series("gpuwatch_user_gpus", "2x20", instance="d", user="ada"),
        series("gpuwatch_user_gpus", "3x20", instance="d", user="bob"),
        series("gpuwatch_user_gpus", "4x20", instance="e", user=pseudonym("ada")),
        series("gpuwatch_gpus_free", "1x20", instance="a"),
        series("gpuwatch_gpus_free", "0x20", instance="c"),
        series("gpuwatch_free_gpu_memory_bytes", "90x20", instance="a"),
    ]
    check(
        tmp_path,
        given,
        [
            (queries["reading"], {"a": 1000, "c": 1000}),
            (queries["blind"], {"b": 0}),
            (queries["mine"], {"a": 0, "d": 2, "e": 4}),
            (queries["free"], {"a": 1, "c": 0}),
            (queries["largest_free"], {"a": 90}),
        ],
    )


def twice(host, metric, worse, better, **labels):
    """The same of two targets with one name."""
    for shard, value in enumerate((worse, better)):
        yield series(
            metric,
            value if isinstance(value, str) else f"{value}x20",
            instance=host,
            shard=str(shard),
            **labels,
        )


def test_of_two_targets_with_one_name_each_answer_is_the_worse(tmp_path):
    """One that cannot read its GPUs, or goes on telling an old reading, is not made good by the other."""
    ours, smi = asked((GPUWATCH,)), asked((NVIDIA_SMI,))
    reading = "gpuwatch_last_reading_timestamp_seconds"
    given = [
        *twice("a", "gpuwatch_reading_ok", 0, 1), *twice("a", reading, "100+60x20", "100+60x20"),
        *twice("b", "gpuwatch_reading_ok", 1, 1), *twice("b", reading, "100x20", "100+60x20"),
        *twice("c", "gpuwatch_gpus_visible", 3, 4), *twice("c", "gpuwatch_gpus_free", 0, 4),
        *twice("c", "gpuwatch_gpus_expected", 4, 3), *twice("c", "gpuwatch_free_gpu_memory_bytes", 5, 90),
        *twice("d", "gpuwatch_user_list_complete", 0, 1), *twice("d", "gpuwatch_alerts_evaluated", 0, 1),
        *twice("e", "gpuwatch_user_gpus", 2, 2, user="ada"),
        *twice("f", "nvidia_smi_compute_apps", 0, 0, uuid="U0"),
        *twice("f", "nvidia_smi_compute_apps", 1, 0, uuid="U1"),
        *twice("f", "nvidia_smi_compute_apps_last_collect_success", 1, 1),
        *twice("g", "nvidia_smi_compute_apps", 0, 0, uuid="U0"),
        *twice("g", "nvidia_smi_compute_apps_last_collect_success", 0, 1),
        *twice("g", "nvidia_smi_last_collect_success", 0, 1),
        *twice("g", "nvidia_smi_last_collect_success_timestamp_seconds", "60+60x20", "60+60x20"),
    ]  # fmt: skip
    expected = [
        (ours["reading"], {"b": 100}),
        (ours["blind"], {"a": 0}),
        (ours["gpus"], {"c": 3}),
        (ours["expected"], {"c": 4}),
        (ours["free"], {"c": 0}),
        (ours["largest_free"], {"c": 5}),
        (ours["mine"], {"e": 2}),
        (host_alerts_query("gpuwatch"), {}),
        (smi["free"], {"f": 1}),
        (smi["reading"], {}),
        (smi["blind"], {"g": 0}),
        (roomy((NVIDIA_SMI,), 1), {}),
    ]
    check(tmp_path, given, expected)


def test_prometheus_remembers_what_a_host_has_told(tmp_path):
    """A row for each thing that it told within hours and does not now, named; of what goes on none."""
    query = lacking_query("gpuwatch")
    given = [
        series("gpuwatch_gpus_visible", "4x20", instance="a"),
        series("gpuwatch_gpus_expected", "4x5 stale", instance="a"),
        series("gpuwatch_alerts_evaluated", "1x5 0x15", instance="a"),
        series("gpuwatch_gpus_visible", "4x5 stale", instance="b"),
        series("gpuwatch_alerts_evaluated", "1x20", instance="b"),
        series("gpuwatch_alerts_evaluated", "0x20", instance="c"),
        series("gpuwatch_hottest_gpu_celsius", "50x5 stale", instance="c"),
        {"series": 'gpuwatch_gpus_free{job="other",instance="d"}', "values": "1x5 stale"},
    ]
    rows = [
        {"labels": f'{{instance="{instance}",lacks="{name}"}}', "value": 1}
        for instance, name in (("b", "gpus"), ("a", "expected"), ("c", "hottest"), ("a", "firing"))
    ]
    evaluate(tmp_path, given, [{"expr": query, "eval_time": QUARTER, "exp_samples": rows}])


def test_a_watchdog_that_does_not_fire_any_more_is_remembered(tmp_path):
    """With its own state, beside what fires and what is pending; one that fires is that alone."""
    given = [
        {"series": 'ALERTS{alertname="MyWatchdog",alertstate="firing"}', "values": "1x5 stale"},
        {"series": 'ALERTS{alertname="Watchdog",alertstate="firing"}', "values": "1x20"},
        {"series": 'ALERTS{alertname="Gone",alertstate="firing",instance="a"}', "values": "1x5 stale"},
        {"series": 'ALERTS{alertname="Hot",alertstate="pending",instance="a"}', "values": "1x20"},
    ]
    rows = [
        {"labels": '{alertname="Watchdog",alertstate="firing"}', "value": 1},
        {"labels": '{alertname="Hot",alertstate="pending",instance="a"}', "value": 1},
        {"labels": '{alertname="MyWatchdog",alertstate="silent"}', "value": 1},
    ]
    evaluate(tmp_path, given, [{"expr": ALERTS, "eval_time": QUARTER, "exp_samples": rows}])


def roomy(exporters, memory, least=1, *, looks=False):
    questions = roomy_queries("gpuwatch", exporters, [RoomWanted(memory, least)])
    return questions[roomy_name(memory, looks=looks)]


def test_our_own_exporter_tells_which_free_gpus_have_the_memory(tmp_path):
    """GPU by GPU; one that may be free, whose list has a gap or whose memory is not told does not count."""

    def of(host, uuid, free=1, whole=1, total=80, used=1, **more):
        told = {
            "gpuwatch_gpu_free": free,
            "gpuwatch_gpu_list_complete": whole,
            "gpuwatch_gpu_memory_total_bytes": total,
            "gpuwatch_gpu_memory_used_bytes": used,
        }
        for name, value in told.items():
            if value is not None:
                yield series(name, f"{value}x20", instance=host, gpu=uuid[-1], uuid=uuid, **more)

    given = [
        *of("a", "U0"), *of("a", "U1"), *of("a", "U2", used=41), *of("a", "U3", free=0),
        *of("b", "U0", free=None), *of("b", "U1", whole=0), *of("b", "U2", whole=None),
        *of("c", "U0", total=None), *of("c", "U1", used=None), *of("c", "U2", used=40),
        # Two targets with one name: the worse of each GPU counts, and the others are told all the same.
        *of("d", "U0", shard="0"), *of("d", "U0", shard="1", used=70), *of("d", "U1", shard="0"),
    ]  # fmt: skip
    expected = [
        (roomy((GPUWATCH,), 40), {"a": 2, "c": 1, "d": 1}),
        (roomy((GPUWATCH,), 39), {"a": 3, "c": 1, "d": 1}),
        (roomy((GPUWATCH,), 40, least=2), {"a": 2}),
        (roomy((GPUWATCH, NVIDIA_SMI), 40), {"a": 2, "c": 1, "d": 1}),
    ]
    check(tmp_path, given, expected)


@pytest.mark.parametrize(
    ("exporter", "use", "used", "total", "label", "unit"),
    [
        (DCGM, "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE", "UUID", MIB),
        (NVITOP, "gpu_utilization_Percentage", "gpu_memory_used_MiB", "gpu_memory_total_MiB", "uuid", MIB),
        (
            NVIDIA_SMI,
            "nvidia_smi_utilization_gpu_ratio",
            "nvidia_smi_memory_used_bytes",
            "nvidia_smi_memory_total_bytes",
            "uuid",
            1,
        ),
    ],
)
def test_other_exporters_tell_the_memory_of_what_looks_free(
    tmp_path, exporter, use, used, total, label, unit
):
    """By their own units; a GPU that computed meanwhile, or holds memory, does not count."""
    given = []
    for uuid, worked, held, size in (
        ("U0", "0x20", 10, 1000),
        ("U1", "0x20", 10, 500),
        ("U2", "0x12 90 0x7", 10, 1000),
        ("U3", "0x20", 400, 1000),
    ):
        rest = size - held if exporter is DCGM else size
        values = ((use, worked), (used, f"{held}x20"), (total, f"{rest}x20"))
        given += [gpu(name, row, "a", uuid, label) for name, row in values]
    given += [gpu("nvidia_smi_compute_apps", "0x20", "a", uuid) for uuid in ("U0", "U1")]
    given += [gpu("nvidia_smi_compute_apps", "1x20", "a", uuid) for uuid in ("U2", "U3")]
    given.append(series("nvidia_smi_compute_apps_last_collect_success", "1x20", instance="a"))
    expected = [
        (roomy((exporter,), 990 * unit, looks=True), {"a": 1}),
        (roomy((exporter,), 490 * unit, looks=True), {"a": 2}),
        (roomy((exporter,), 991 * unit, looks=True), {}),
    ]
    if exporter is NVIDIA_SMI:
        expected.append((roomy((exporter,), 400), {"a": 2}))
    else:
        assert roomy_name(1, looks=False) not in roomy_queries("j", (exporter,), [RoomWanted(1, 1)])
    check(tmp_path, given, expected)


def test_a_gpu_looks_free_after_ten_idle_minutes(tmp_path):
    """Small memory and no use for all of that time; a host of which none looks so has a 0."""
    queries = asked((DCGM,))

    def dcgm(host, uuid, use, used):
        yield gpu("DCGM_FI_DEV_GPU_UTIL", use, host, uuid, "UUID")
        yield gpu("DCGM_FI_DEV_FB_USED", f"{used}x20", host, uuid, "UUID")
        yield gpu("DCGM_FI_DEV_FB_FREE", f"{1000 - used}x20", host, uuid, "UUID")
        yield gpu("DCGM_FI_DEV_GPU_TEMP", "50x20", host, uuid, "UUID")

    given = [
        *dcgm("a", "U0", "0x20", 10),
        *dcgm("a", "U1", "0x12 90 0x7", 10),  # has computed meanwhile
        *dcgm("a", "U2", "0x20", 400),  # its memory is held
        *dcgm("b", "U3", "7x20", 10),
        *dcgm("c", "U4", "_x10 0x10", 10),  # has no past yet
    ]
    check(
        tmp_path,
        given,
        [
            (queries["looks_free"], {"a": 1, "b": 0, "c": 0}),
            (queries["gpus"], {"a": 3, "b": 1, "c": 1}),
            (queries["reading"], {"a": 0, "b": 0, "c": 0}),
            (queries["hottest"], {"a": 50, "b": 50, "c": 50}),
        ],
    )
    assert {"free", "mine"}.isdisjoint(queries)


def test_nvitop_tells_that_one_computes_and_never_that_one_does_not(tmp_path):
    """One's processes by user name are counted by GPU; a host without any has no row."""
    queries = asked((NVITOP,))
    given = [
        gpu("gpu_utilization_Percentage", "5x20"),
        gpu("gpu_utilization_Percentage", "5x20", host="b"),
        gpu("gpu_memory_total_MiB", "80000x20"),
        gpu("gpu_memory_total_MiB", "80000x20", uuid="U1"),
        gpu("gpu_memory_total_MiB", "NaN " * 20, uuid="U2"),  # cannot be read
        gpu("gpu_memory_total_MiB", "80000x20", host="b"),
        series("host_uptime_Second", "0+60x20", instance="a"),
        series("host_uptime_Second", "77x20", instance="b"),
        *(
            series("process_gpu_memory_MiB", "9x20", instance="a", uuid=uuid, pid=pid, username="ada")
            for uuid, pid in (("U0", "1"), ("U0", "2"), ("U1", "1"))
        ),
        series("process_gpu_memory_MiB", "9x20", instance="b", uuid="U0", pid="3", username="bob"),
    ]
    expected = [
        (queries["reading"], {"a": 900, "b": 77}),
        (queries["gpus"], {"a": 2, "b": 1}),
        (queries["mine"], {"a": 2}),
    ]
    check(tmp_path, given, expected)
    assert "free" not in queries


def test_nvidia_gpu_exporter_tells_free_gpus_where_it_is_told_to_look_for_processes(tmp_path):
    """By the count of compute processes, and only while those could be read; a failed run is blind."""
    queries = asked((NVIDIA_SMI,))
    given = [
        *(
            series("nvidia_smi_last_collect_success", f"{ok}x20", instance=h)
            for h, ok in (("a", 1), ("b", 0))
        ),
        *(series("nvidia_smi_last_collect_success_timestamp_seconds", "60+60x20", instance=h) for h in "ab"),
        gpu("nvidia_smi_compute_apps", "0x20"),
        gpu("nvidia_smi_compute_apps", "2x20", uuid="U1"),
        gpu("nvidia_smi_compute_apps", "0x20", host="b"),
        *(
            series("nvidia_smi_compute_apps_last_collect_success", f"{ok}x20", instance=host)
            for host, ok in (("a", 1), ("b", 0))
        ),
        gpu("nvidia_smi_utilization_gpu_ratio", "0.4x20"),
    ]
    expected = [
        (queries["reading"], {"a": 960}),
        (queries["blind"], {"b": 0}),
        (queries["free"], {"a": 1}),
        (queries["gpus"], {"a": 1}),
    ]
    check(tmp_path, given, expected)


def test_a_lab_with_two_exporters_is_read_by_both_and_a_host_that_has_both_by_ours(tmp_path):
    """The one query has the hosts of either."""
    queries = asked((GPUWATCH, DCGM))
    given = [
        series("gpuwatch_gpus_visible", "4x20", instance="a"),
        gpu("DCGM_FI_DEV_GPU_UTIL", "1x20", "a", "U0", "UUID"),
        gpu("DCGM_FI_DEV_GPU_UTIL", "1x20", "b", "U1", "UUID"),
    ]
    check(tmp_path, given, [(queries["gpus"], {"a": 4, "b": 1})])


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_each_exporter_is_known_by_a_metric(exporter, tmp_path):
    """The hourly question finds it, and what it lacks is named in words."""
    question = exporters_query("gpuwatch", EXPORTERS)
    assert exporter.sign in question
    assert found_exporters([exporter.sign]) == (exporter,)
    notes = missing_notes((exporter,))
    assert len(notes) == len(exporter.lacks)
    assert all(note.startswith(exporter.name) for note in notes)
    assert bool(notes) is (exporter is not GPUWATCH)


def test_without_a_name_nobodys_processes_are_asked_for():
    """An empty user name would match series without one."""
    assert {"mine", "oldest_start"}.isdisjoint(asked(EXPORTERS, me=""))
    assert {"mine", "oldest_start"} <= asked(EXPORTERS).keys()
