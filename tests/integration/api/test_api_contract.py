"""A small part of `make schemathesis`: the API against its own document."""

from proofs.contract.run import contract_api, prepare, run


def test_every_answer_is_one_that_the_document_tells_of(redis_server, tmp_path):
    api = contract_api(tmp_path, redis_server.url)
    api.start()
    try:
        done = run(api, prepare(api), 4, "examples,fuzzing,stateful", 1)
    finally:
        api.stop()
    assert done.returncode == 0, done.stdout[-6000:] + api.log.read_text()[-3000:]
