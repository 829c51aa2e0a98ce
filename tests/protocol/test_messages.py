"""Requests and responses as plain objects."""

from inferd.protocol.messages import InferRequest, InferResponse, RequestedOutput


def test_a_request_without_options_asks_for_everything_of_the_latest_version():
    """The defaults are the protocol's."""
    request = InferRequest("m", {})

    assert (request.model_version, request.id, request.outputs) == ("", "", ())
    assert (request.sequence_id, request.priority, request.timeout_us) == (0, 0, 0)
    assert request.parameters == {}


def test_requests_do_not_share_their_parameters():
    """Changing one does not change another."""
    first, second = InferRequest("m", {}), InferRequest("m", {})
    first.parameters["a"] = 1

    assert second.parameters == {}


def test_an_output_is_returned_as_a_tensor_by_default():
    """Neither classified nor binary."""
    output = RequestedOutput("Y")

    assert (output.classification, output.binary_data, output.parameters) == (0, False, None)


def test_a_response_names_the_version_that_answered():
    """Parameters are only there when the backend set some."""
    response = InferResponse("m", "3", [])

    assert (response.model_version, response.id, response.parameters) == ("3", "", None)
