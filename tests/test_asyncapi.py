import jsonschema
import yaml

from edge_agent import asyncapi, wire


def test_the_published_schema_is_the_one_that_the_records_give():
    assert asyncapi.PATH.read_text(encoding="utf-8") == asyncapi.text(), "run: python -m edge_agent.asyncapi"


def test_every_message_has_a_topic_and_every_reference_leads_somewhere():
    document = yaml.safe_load(asyncapi.text())
    assert set(document["channels"]) == set(wire.MESSAGES) | {"clip_part"}
    for name, channel in document["channels"].items():
        assert name in document["operations"] and name in document["components"]["messages"]
        assert channel["address"].startswith("tankwatch/v1/{site}/{station}/")
    for name in wire.MESSAGES:
        reference = document["components"]["messages"][name]["payload"]["$ref"]
        schema = document["components"]["schemas"][reference.rsplit("/", 1)[1]]
        assert "schema" in schema["required"]
        jsonschema.Draft202012Validator.check_schema(schema)
