"""What botocore reads from the shared files, and who each named profile is.

Prints one JSON object: {"error": text or null, "profiles": {name: {key: value}}, "sections": the rest of the config file,
"who": {name: {"method", "access_key_id", "arn" or "error"}}}. With LENIENT=1 it reads as SDKs do that take sections and
keys that come twice, a byte order mark and any bytes.
"""

import configparser
import json
import os
import sys

import botocore.configloader
import botocore.session

if os.environ.get("LENIENT"):
    original = configparser.RawConfigParser.__init__

    def lenient(self, *args, **kwargs):
        original(self, *args, **{**kwargs, "strict": False})

    def read(self, names, encoding=None):
        for name in names:
            text = open(name, "rb").read().removeprefix(b"\xef\xbb\xbf").decode("latin-1")
            self.read_string(text)

    configparser.RawConfigParser.__init__ = lenient
    configparser.RawConfigParser.read = read


def who(name):
    try:
        session = botocore.session.Session(profile=name)
        credentials = session.get_credentials()
        if credentials is None:
            return {"error": "no credentials"}
        frozen = credentials.get_frozen_credentials()
        told = {"method": credentials.method, "access_key_id": frozen.access_key}
        if frozen.token is None or credentials.method == "assume-role":
            sts = session.create_client("sts", region_name=session.get_config_variable("region") or "us-east-1")
            told["arn"] = sts.get_caller_identity()["Arn"].split("/botocore-session")[0]
        if credentials.method == "assume-role":
            del told["access_key_id"]
        return told
    except Exception as error:  # whatever it is, it must be the same afterwards
        return {"error": type(error).__name__}


answers = {"error": None}
try:
    full = botocore.session.Session().full_config
    answers["profiles"] = full.pop("profiles")
    full.pop("_path", None)
    # A file that is not there has no such sections, and one that is new has none of them either.
    answers["sections"] = {name: values for name, values in full.items() if values}
except Exception as error:
    answers["error"] = type(error).__name__
names = sys.argv[1:] or sorted(answers.get("profiles", {}))
answers["who"] = {name: who(name) for name in names}
print(json.dumps(answers, sort_keys=True))
