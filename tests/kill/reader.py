"""A program as users have them: one boto3 session, kept for long, that asks STS who it is again and again.

Its credential comes through `credential_process` in the AWS configuration that its environment names. Each
request makes one line of output: `ok KEY`, `refused KEY CODE`, `failed - WHY`, or `late - -`.
"""

import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# What botocore says of a credential that ended before it was read: a lease of two seconds on a machine that
# was busy for one. No program meets it with a lease of minutes.
TOO_LATE = "still expired"


def main():
    pause = float(sys.argv[1])
    signer = "-"

    def note(request, **_):
        nonlocal signer
        header = request.headers["Authorization"]
        text = header.decode() if isinstance(header, bytes) else header
        signer = text.split("Credential=")[1].split("/")[0]

    sts = None
    while True:
        signer = "-"
        try:
            if sts is None:
                # One attempt: a refusal that a retry hides is a refusal all the same.
                sts = boto3.Session().client("sts", config=Config(retries={"total_max_attempts": 1}))
                sts.meta.events.register("before-send.sts", note)
            sts.get_caller_identity()
            line = f"ok {signer} -"
        except ClientError as error:
            line = f"refused {signer} {error.response['Error']['Code']}"
        except Exception as error:
            late = TOO_LATE in str(error)
            line = "late - -" if late else f"failed - {error!r}"
        print(line, flush=True)
        time.sleep(pause)


main()
