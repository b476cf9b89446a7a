"""A server with TLS that writes down what it is sent, one line a request.

    upstream.py FOLDER CASE      prints its port; stops when its standard input is closed

FOLDER gets `ca.pem`, which agents are told to trust, and `seen`. CASE says what is wrong with it: `right`, `wrong_name`,
`expired`, `unknown` (another authority), `old` (TLS 1.1), `redirect`. With `elsewhere`, in a network and a mount namespace of its
own, it is other machines: names lead to addresses of its own, as /etc/hosts says there, and it stands at port 443 of them all.
"""

import datetime
import fcntl
import http.server
import ipaddress
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FOLDER, CASE = sys.argv[1:]
NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def certificate(name, key, issuer, issuer_key, begins=NOW - DAY, ends=NOW + DAY, sans=None):
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (x509.CertificateBuilder().subject_name(own).issuer_name(issuer or own).public_key(key.public_key())
               .serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
               .add_extension(x509.BasicConstraints(ca=sans is None, path_length=None), critical=True))
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def write(name, *parts):
    with open(os.path.join(FOLDER, name), "wb") as file:
        file.writelines(parts)


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


ca_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
ca = certificate("trusted", ca_key, None, ca_key)
write("ca.pem", pem(ca))
issuer, issuer_key = ca.subject, ca_key
if CASE == "unknown":
    issuer_key = ec.generate_private_key(ec.SECP256R1())
ADDRESSES = {
    "127.0.0.1": ["localhost", "loop.example"],
    "203.0.113.7": ["other.example"],
    "203.0.113.8": ["s3.us-east-1.amazonaws.com", "virtual.s3.us-east-1.amazonaws.com", "sts.us-east-1.amazonaws.com"],
    "169.254.169.254": ["meta.example", "linked.us-east-1.es.amazonaws.com"],
    "10.1.2.3": ["inner.us-east-1.es.amazonaws.com", "kinesis.us-east-1.amazonaws.com"],
}


def move_in():
    """The addresses, at the one interface that there is, and their names."""
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number, address in enumerate(ADDRESSES):
        name = f"lo:{number}" if number else "lo"
        request = struct.pack("16sHH4s8x", name.encode(), socket.AF_INET, 0, socket.inet_aton(address))
        fcntl.ioctl(control, 0x8916, request)  # SIOCSIFADDR
        fcntl.ioctl(control, 0x8914, struct.pack("16sH22x", name.encode(), 1))  # SIOCSIFFLAGS, IFF_UP
    hosts = os.path.join(FOLDER, "hosts")
    with open(hosts, "w") as file:
        file.writelines(f"{address} {' '.join(names)}\n" for address, names in ADDRESSES.items())
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)


names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
if CASE == "wrong_name":
    names = [x509.DNSName("sts.amazonaws.com")]
if CASE == "elsewhere":
    move_in()
    names = [x509.DNSName(name) for all_of_it in ADDRESSES.values() for name in all_of_it]
ends = NOW - DAY / 2 if CASE == "expired" else NOW + DAY
leaf = certificate("leaf", leaf_key, issuer, issuer_key, ends=ends, sans=names)
write("leaf.pem", pem(leaf), leaf_key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(os.path.join(FOLDER, "seen"), "a") as seen:
            seen.write(f"{self.command} {self.path} {self.headers['Host']}")
            if CASE == "elsewhere":
                signer = re.search("Credential=([A-Z0-9]+)", self.headers["Authorization"] or "")
                seen.write(f" {self.connection.getsockname()[0]} {signer and signer[1]}")
            seen.write("\n")
        body = b"<ListAllMyBucketsResult/>"
        self.send_response(307 if CASE == "redirect" else 200)
        if CASE == "redirect":
            self.send_header("Location", f"https://localhost:{self.server.server_port}/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(FOLDER, "leaf.pem"))
if CASE == "old":
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
server = http.server.ThreadingHTTPServer(("0.0.0.0", 443) if CASE == "elsewhere" else ("127.0.0.1", 0), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
