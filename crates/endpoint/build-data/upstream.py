#!/usr/bin/env python3
"""Makes crates/endpoint/src/proxy/upstream/table.txt: where a request goes, and for which region it is signed there.

It asks botocore's endpoint rules for the host of every service in every region, and its service models for what tells
services apart that sign with the same name. The answer depends on botocore's version alone, which
tests/requirements.txt pins.

    upstream.py            prints the table
    upstream.py --check F  fails if F is not the table

The table is read by upstream/table.rs:

    partition <id> <dns suffix> <dual stack suffix> <region>...
    name <signing name>               begins a signing name; what follows is of it
    service <id> <X-Amz-Target prefix|-> [query]
    host <partition>,...|* <template> <signing region|-> [<region>=<host>,<signing region|->]...
    op <METHOD> <path template>       only where a signing name has several hosts
    op TARGET <operation>             only where such services share an X-Amz-Target prefix
    stream <METHOD> <path template>   an operation that AWS has over HTTP/2 alone: its messages are signed one by one, or
    stream TARGET <operation>         it pushes events for as long as its caller wants them

A template's {region} is the region's name, {suffix} and {dual} are its partition's suffixes. `-` signs for the region
that was asked for.
"""

import collections
import re
import sys
import warnings

import botocore.session
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import BotoCoreError

# Answers that are not derived from the region: a person's own ids are in those hosts.
PARAMETERS = {"UseFIPS": False, "UseDualStack": False, "UseGlobalEndpoint": False, "AccountIdEndpointMode": "disabled"}
# Their rules ask for what a path-style request does not tell, or give hosts by account.
OVERRIDES = {
    "kinesis": "kinesis.{region}.{suffix}",
    "s3control": "{account}.s3-control.{region}.{suffix}",
}
# S3 Control names the account in a header.
TOLD_BY_OTHERS = {"s3"}
# botocore speaks HTTP/1.1 alone, and leaves this service out. As @aws-sdk/client-transcribe-streaming 3.1141.0 has it.
TRANSCRIBE_STREAMING = {
    "metadata": {
        "serviceId": "Transcribe Streaming",
        "endpointPrefix": "transcribestreaming",
        "protocol": "rest-json",
        "protocolSettings": {"h2": "eventstream"},
    },
    "operations": {
        name: {"http": {"method": method, "requestUri": path}, "input": {"shape": name}}
        for name, method, path in (
            ("GetMedicalScribeStream", "GET", "/medical-scribe-stream/{SessionId}"),
            ("StartCallAnalyticsStreamTranscription", "POST", "/call-analytics-stream-transcription"),
            ("StartMedicalScribeStream", "POST", "/medical-scribe-stream"),
            ("StartMedicalStreamTranscription", "POST", "/medical-stream-transcription"),
            ("StartStreamTranscription", "POST", "/stream-transcription"),
        )
    },
    "shapes": collections.defaultdict(lambda: {"members": {"AudioStream": {"shape": "AudioStream"}}, "eventstream": True}),
}


def main():
    warnings.simplefilter("ignore")
    session = botocore.session.Session()
    loader = session.get_component("data_loader")
    partitions = loader.load_data("partitions")["partitions"]
    names = collections.defaultdict(list)
    for service in loader.list_available_services("service-2"):
        model = loader.load_service_model(service, "service-2")
        if "v4" not in str(model["metadata"].get("signatureVersion", "")) and "aws.auth#sigv4" not in model[
            "metadata"
        ].get("auth", []):
            continue
        rules = loader.load_service_model(service, "endpoint-rule-set-1")
        hosts = hosts_of(service, model, rules, partitions)
        name = model["metadata"].get("signingName") or model["metadata"]["endpointPrefix"]
        names[name].append((service, model, hosts))
    hosts = (("*", "transcribestreaming.{region}.{suffix}", "-", ()),)
    names["transcribe"].append(("transcribestreaming", TRANSCRIBE_STREAMING, hosts))
    out = []
    for partition in partitions:
        regions = [region for region in partition["regions"] if not region.endswith("-global")]
        out.append(
            "partition {} {} {} {}".format(
                partition["id"],
                partition["outputs"]["dnsSuffix"],
                partition["outputs"]["dualStackDnsSuffix"],
                " ".join(sorted(regions)),
            )
        )
    for name in sorted(names):
        out += lines_of(name, names[name])
    return "\n".join(out) + "\n"


def hosts_of(service, model, rules, partitions):
    """(partition, template, signing region, exceptions) of each partition."""
    provider = EndpointProvider(rules, {"partitions": partitions, "version": "1.1"})
    lines = collections.defaultdict(list)
    for partition in partitions:
        suffix, dual = partition["outputs"]["dnsSuffix"], partition["outputs"]["dualStackDnsSuffix"]
        regions = [region for region in partition["regions"] if not region.endswith("-global")]
        found = {region: resolved(service, provider, rules, region, suffix, dual) for region in sorted(regions)}
        found = {region: answer for region, answer in found.items() if answer}
        if not found:
            continue
        template, sign = likeliest(found)
        exceptions = [
            f"{region}={host},{at}"
            for region, (host, at) in found.items()
            if (host, at) != (template.replace("{region}", region), region if sign == "-" else sign)
        ]
        for text, name in ((dual, "{dual}"), (suffix, "{suffix}")):
            template = re.sub(rf"\.{re.escape(text)}$", "." + name, template)
        lines[template, sign, tuple(exceptions)].append(partition["id"])
    if len(lines) == 1 and len(*lines.values()) == len(partitions):
        return (("*", *lines.popitem()[0]),)
    return tuple((",".join(ids), *line) for line, ids in lines.items())


def likeliest(found):
    """The template and the signing region that give most of the answers."""
    candidates = {}
    for region, (host, at) in found.items():
        for template in (host.replace(region, "{region}"), host):
            for sign in ("-", at):
                candidates[template, sign] = None
    def given(candidate):
        template, sign = candidate
        return sum(
            answer == (template.replace("{region}", region), region if sign == "-" else sign)
            for region, answer in found.items()
        )
    return max(candidates, key=given)


def resolved(service, provider, rules, region, suffix, dual):
    """The host and the signing region, as botocore answers."""
    if service in OVERRIDES:
        return OVERRIDES[service].replace("{suffix}", suffix).replace("{region}", region), region
    parameters = {name: value for name, value in PARAMETERS.items() if name in rules["parameters"]}
    if "Region" in rules["parameters"]:
        parameters["Region"] = region
    try:
        endpoint = provider.resolve_endpoint(**parameters)
    except (BotoCoreError, KeyError):
        return None
    schemes = endpoint.properties.get("authSchemes", [])
    sign = next((s["signingRegion"] for s in schemes if s["name"] == "sigv4" and "signingRegion" in s), region)
    host = endpoint.url.removeprefix("https://").rstrip("/")
    # Anything else is not an API that one signs for (sign-in pages).
    is_api = re.fullmatch(r"[a-z0-9.-]+", host) and host.endswith(("." + suffix, "." + dual))
    return (host, sign) if is_api else None


def lines_of(name, services):
    """One signing name. Services that go to the same hosts are one."""
    groups = collections.defaultdict(list)
    for service, model, hosts in services:
        if hosts:
            groups[hosts].append((service, model))
    # The one that is named like the signing name is what is left when nothing else tells.
    def order(group):
        named = (name in (service, model["metadata"]["endpointPrefix"]) for service, model in group[1])
        return (not any(named), group[1][0][0])

    ordered = sorted(groups.items(), key=order)
    out = [f"name {name}"] if ordered else []
    queries, prefixes = set(), collections.Counter()
    for _, members in ordered:
        prefixes.update({model["metadata"].get("targetPrefix") for _, model in members})
    for hosts, members in ordered:
        for service, model in members:
            metadata = model["metadata"]
            ambiguous = len(ordered) > 1
            protocols = metadata.get("protocols", [metadata["protocol"]])
            words = [slug(metadata.get("serviceId", service)), metadata.get("targetPrefix", "-") if ambiguous else "-"]
            if ambiguous and {"query", "ec2"} & set(protocols):
                words.append("query")
                queries.add(hosts)
            out.append("service " + " ".join(words))
        for partition, template, sign, exceptions in hosts:
            out.append(" ".join(["host", partition, template, sign, *exceptions]))
        if len(ordered) > 1 and name not in TOLD_BY_OTHERS:
            told = {op for _, model in members for op in operations(model, prefixes)}
            out += ["op " + operation for operation in sorted(told)]
        out += ["stream " + line for line in sorted({line for _, model in members for line in streams(model)})]
    # Otherwise the table would have to know their actions.
    assert len(queries) <= 1, f"{name}: several hosts take forms"
    return out


def operations(model, prefixes):
    """What tells them from those of other services."""
    shares = prefixes[model["metadata"].get("targetPrefix", "-")] > 1
    for name, operation in model["operations"].items():
        if shares:
            yield f"TARGET {name}"
        http = operation.get("http", {})
        if http.get("requestUri", "/") != "/":
            yield f"{http['method']} {http['requestUri'].split('#')[0]}"


def streams(model):
    """The operations that need HTTP/2: SDKs sign the messages of streams that go out, and Kinesis pushes."""

    def has_events(shape):
        members = model["shapes"][shape["shape"]].get("members", {}).values() if shape else ()
        return any(model["shapes"][member["shape"]].get("eventstream") for member in members)

    pushes = model["metadata"].get("protocolSettings", {}).get("h2") == "eventstream"
    for name, operation in model["operations"].items():
        if has_events(operation.get("input")) or (pushes and has_events(operation.get("output"))):
            http = operation["http"]
            path = http["requestUri"].split("#")[0]
            yield f"TARGET {name}" if path == "/" else f"{http['method']} {path}"


def slug(text):
    """As user agents write it (api/...)."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).lower()


if __name__ == "__main__":
    table = main()
    if sys.argv[1:2] == ["--check"]:
        with open(sys.argv[2], encoding="utf-8") as committed:
            sys.exit(0 if committed.read() == table else f"{sys.argv[2]} is not what botocore {botocore.__version__} gives")
    sys.stdout.write(table)
