"""Access tokens as the files that `curl --header @FILE` reads, one for each instance."""

from deputy_kit.description import about
from deputy_kit.failures import failure, guarded
from deputy_kit.settings import read
from wit_world import exports
from wit_world.exports.receiver import Accepted, Bound, Delivery, Rejection
from wit_world.imports import outputs
from wit_world.imports.contract import Next, Setting

KIND = "bearer-token/1"


@guarded
class Receiver(exports.Receiver):
    def kinds(self, settings: list[Setting]) -> list[str]:
        return [KIND]

    def check(self, settings: list[Setting], bound: list[Bound]) -> None:
        read(settings, required=set(), optional=set())
        for instance in bound:
            if instance.kinds and KIND not in instance.kinds:
                raise failure(Next.MISCONFIGURED, f"{instance.instance} obtains no {KIND}")

    def accept(self, settings: list[Setting], deliveries: list[Delivery]) -> Accepted:
        rejected = []
        for delivery in deliveries:
            # A line break would start another header.
            if not delivery.payload or not all(0x21 <= byte <= 0x7E for byte in delivery.payload):
                problem = failure(Next.DENIED, "the payload is not one word")
                rejected.append(Rejection(delivery.instance, problem.value))
                continue
            outputs.put(f"{delivery.instance}.header", b"Authorization: Bearer " + delivery.payload + b"\n")
        return Accepted(rejected, [])


@guarded
class Description(exports.Description):
    def about(self):
        return about(title="Access tokens as headers for curl")

    def known_settings(self):
        return []

    def wants(self, settings: list[Setting]):
        read(settings, required=set(), optional=set())
        return []
