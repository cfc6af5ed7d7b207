"""Configuration: ranges, TOML, the data sets' own values."""

import pytest

from vdn.config import Config, ConfigError, command_words, from_dict, from_toml, resolve


def test_data_sets_have_their_own_values():
    assert (resolve(Config()).window, resolve(Config()).horizon, resolve(Config()).encoder) == (
        168,
        24,
        "linear",
    )
    assert resolve(Config(data="csv:x.csv", horizon=7)).horizon == 7
    assert resolve(Config(data="digits")).encoder == "mlp"
    assert resolve(resolve(Config())) == resolve(Config())


def test_sequences_have_one_thread():
    for values in ({"data": "text"}, {"data": "signal"}, {"data": "csv:x.csv", "sequence": True}):
        assert resolve(from_dict(values)).threads == 1
        assert resolve(from_dict({**values, "threads": 0})).threads == 0
    assert resolve(from_dict({"data": "nyc"})).threads == 0


def test_twins_of_series_have_a_learning_rate_of_their_own():
    model, twin = (resolve(Config(twin=twin)) for twin in (False, True))
    assert twin.lr < model.lr
    assert resolve(Config(twin=True, lr=0.5)).lr == 0.5
    assert resolve(Config(data="digits", twin=True)).lr == resolve(Config(data="digits")).lr
    assert command_words(twin) == ["--data=nyc", "--twin"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "--steps must be at least 1"),
        ({"sigma": "none"}, "--sigma is one of shared, per_neuron, input"),
        ({"latent_dim": 0}, "--latent-dim must be at least 1"),
        ({"neurons": 2.5}, "--neurons takes int"),
        ({"beta": "x"}, "--beta takes float"),
        ({"lr": float("nan")}, "--lr must be at least 0"),
        ({"phi": "0.5,1.0"}, "--phi takes numbers from -0.999 to 0.999"),
        ({"c_min": "a"}, "numbers with commas"),
        ({"persistence": "0.5,1"}, "--persistence takes numbers from -0.99 to 0.99"),
        ({"persistence": ""}, "numbers with commas"),
        ({"thermostat_gain": -1.0}, "--thermostat-gain must be at least 0"),
        ({"neuron": 3}, "unknown setting 'neuron'"),
    ],
)
def test_wrong_values_name_flag_and_range(values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(values)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(data="mnist"), "unknown data set 'mnist'"),
        (Config(data="csv"), "unknown data set"),
        (Config(data="digits", prior="autoregressive"), "needs series"),
        (Config(data="diabetes", lam_ar=0.1), "needs series"),
        (Config(df=2.0), "--df must be above 2"),
        (Config(data="digits", likelihood="student"), "--likelihood student is for numbers"),
        (from_dict({"data": "chords:x", "likelihood": "student"}), "--likelihood student is for numbers"),
        (Config(data="digits", persistence="0.5"), "--persistence needs series"),
        (from_dict({"data": "signal", "persistence": "0.5"}), "--persistence is not there for sequences"),
    ],
)
def test_what_does_not_go_together(config, message):
    with pytest.raises(ConfigError, match=message):
        resolve(config)


def test_toml(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('data = "digits"\nsigma-init = 1\nlearn_phi = true\n')
    config = from_dict(from_toml(path))
    assert (config.data, config.sigma_init, config.learn_phi) == ("digits", 1.0, True)
    path.write_text("data = ")
    with pytest.raises(ConfigError, match="cannot be read"):
        from_toml(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        from_toml(tmp_path / "absent.toml")
