"""The environment of the libraries underneath."""

from orchestrator.quiet import prepare_environment, ray_init_options


def test_telemetry_is_off_and_the_users_choice_stays() -> None:
    environment = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "7"}
    prepare_environment(environment=environment)
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert environment["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] == "7"
    assert environment["TQDM_DISABLE"] == "1"


def test_verbose_leaves_the_libraries_their_bars() -> None:
    environment: dict[str, str] = {}
    prepare_environment(verbose=True, environment=environment)
    assert "TQDM_DISABLE" not in environment
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
    assert ray_init_options(verbose=True)["log_to_driver"] is True
    assert ray_init_options()["log_to_driver"] is False


def test_a_ray_of_our_own_has_a_random_token() -> None:
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    prepare_environment(environment=first)
    prepare_environment(environment=second)
    assert first["RAY_AUTH_MODE"] == "token"
    assert len(first["RAY_AUTH_TOKEN"]) == 64
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]


def test_a_cluster_that_is_joined_keeps_its_mode() -> None:
    for given in ({"RAY_ADDRESS": "10.0.0.1:6379"}, {"RAY_AUTH_MODE": "disabled"}):
        environment = dict(given)
        prepare_environment(environment=environment)
        assert "RAY_AUTH_TOKEN" not in environment
        assert environment.get("RAY_AUTH_MODE") == given.get("RAY_AUTH_MODE")
