"""A proof: one block of a long log, believed by somebody who has only the log's key."""

from feedlog import InvalidProof, Proof, Store, check_proof

with Store.memory() as store:
    ledger = store.feed("ledger")
    ledger.extend(f"payment {n}".encode() for n in range(100_000))
    key = ledger.key
    evidence = ledger.prove(blocks=[70_000]).to_bytes()

print(f"a proof of one block among 100,000 has {len(evidence)} bytes")

# From here on there is no store: a key and some bytes that came by mail.
verified = check_proof(key, Proof.from_bytes(evidence))
print(f"the writer signed {verified.length} blocks, one of which is {verified.blocks}")

forged = evidence.replace(b"payment 70000", b"payment 90000")
try:
    check_proof(key, Proof.from_bytes(forged))
except InvalidProof as error:
    print("the forged one is refused:", error)
