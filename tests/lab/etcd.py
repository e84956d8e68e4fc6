"""A real etcd in the router's namespace: the witness of the pair. Started, killed and frozen by the tests."""

import json
import os
import shutil
import signal
import subprocess

from lab.network import ROUTER

PORT = 2379


class Etcd:
    """One member. `tls`: with a certificate of a CA of its own (`ca`)."""

    def __init__(self, lab, tls=False):
        self.lab = lab
        self.dir = os.path.join(lab.dir, "etcd")
        self.tls = tls
        self.ca = os.path.join(self.dir, "ca.pem")
        self.process = None
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        if tls:
            self._certificates()
        self.start()

    @property
    def url(self):
        return "%s://%s:%d" % ("https" if self.tls else "http", ROUTER, PORT)

    def section(self, *more):
        """The section for duet.conf."""
        lines = ["witness {", "    kind = etcd", '    endpoint = {"%s"}' % self.url]
        if self.tls:
            lines += ['    ca-file = "%s"' % self.ca]
        return "\n".join(lines + ["    " + line for line in more] + ["}"]) + "\n"

    def _certificates(self):
        def openssl(*words):
            subprocess.run(("openssl",) + words, cwd=self.dir, check=True, capture_output=True, timeout=30)

        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=lab CA")
        openssl("req", *new, "-keyout", "etcd.key", "-out", "etcd.csr", "-subj", "/CN=etcd")
        with open(os.path.join(self.dir, "names"), "w") as out:
            out.write("subjectAltName=IP:%s\n" % ROUTER)
        openssl("x509", "-req", "-in", "etcd.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile",
                "names", "-out", "etcd.pem")

    def start(self):
        words = ["etcd", "--name", "lab", "--data-dir", os.path.join(self.dir, "data"), "--listen-client-urls", self.url,
                 "--advertise-client-urls", self.url, "--listen-peer-urls", "http://127.0.0.1:2380",
                 "--initial-advertise-peer-urls", "http://127.0.0.1:2380", "--initial-cluster", "lab=http://127.0.0.1:2380",
                 "--log-level", "error"]
        if self.tls:
            words += ["--cert-file", os.path.join(self.dir, "etcd.pem"), "--key-file", os.path.join(self.dir, "etcd.key")]
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.process = subprocess.Popen(self.lab.network.exec("router", *words), stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        self.lab.wait_for(lambda: self.control("endpoint", "health").returncode == 0, 30, "etcd answers")

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def control(self, *words):
        """etcdctl; the finished process."""
        options = ["--endpoints", self.url, "--command-timeout", "2s", "--dial-timeout", "2s"]
        if self.tls:
            options += ["--cacert", self.ca]
        return subprocess.run(self.lab.network.exec("router", "env", "ETCDCTL_API=3", "etcdctl", *options, *words),
                              capture_output=True, text=True, timeout=20)

    def record(self):
        """What the pair has written there, or None."""
        text = self.control("get", "/duet/lab", "--print-value-only").stdout.strip()
        return json.loads(text) if text else None

    def require_login(self, password):
        """From now on only the user duet may read and write the pair's key."""
        for words in (("user", "add", "root:toor"), ("user", "grant-role", "root", "root"), ("role", "add", "duet"),
                      ("role", "grant-permission", "duet", "readwrite", "/duet/lab"), ("user", "add", "duet:" + password),
                      ("user", "grant-role", "duet", "duet"), ("auth", "enable")):
            done = self.control(*words)
            assert done.returncode == 0, (words, done.stderr)
