"""What generated requests cannot know: the name of a model that is there."""

import schemathesis


@schemathesis.hook("map_body")
def call_the_demonstration(context, body):
    """Every second conversation is one that the mock answers, so that good answers are looked at too."""
    if context.operation.path != "/v1/chat/completions":
        return body
    if isinstance(body, dict) and isinstance(body.get("model"), str) and len(body["model"]) % 2:
        return {**body, "model": "demo"}
    return body
