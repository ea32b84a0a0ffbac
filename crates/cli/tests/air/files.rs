//! Jobs and images from servers of HTTP that others wrote.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::support::{Lab, Process, answers, foreign, free_port};

/// Python's server of files; with `ranges` it is taught these.
pub fn python(lab: &Lab, ranges: bool) -> (Process, u16) {
    serve(lab, if ranges { "ranges" } else { "plain" }, "")
}

/// The same with something wrong, over TLS if there is a certificate: `closes` in the middle of
/// every third part, sends parts that are `endless`.
fn serve(lab: &Lab, kind: &str, certificate: &str) -> (Process, u16) {
    let script = "
import http.server, re, ssl, sys
kind, certificate = sys.argv[2], sys.argv[3]
class Files(http.server.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    count = 0
    def do_GET(self):
        wanted = re.fullmatch(r'bytes=(\\d+)-(\\d+)', self.headers.get('Range', ''))
        if not wanted or kind == 'plain': return super().do_GET()
        with open(self.translate_path(self.path), 'rb') as file: content = file.read()
        first, last = int(wanted[1]), min(int(wanted[2]), len(content) - 1)
        body = content[first:last + 1]
        self.send_response(206)
        self.send_header('Content-Range', f'bytes {first}-{last}/{len(content)}')
        if kind == 'endless':
            self.send_header('Transfer-Encoding', 'chunked')
            self.end_headers()
            while True: self.wfile.write(b'1000\\r\\n' + bytes(4096) + b'\\r\\n')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        Files.count += 1
        self.close_connection = kind == 'closes' and Files.count % 3 == 0
        self.wfile.write(body[:len(body) // 2] if self.close_connection else body)
    def do_POST(self):
        told = self.rfile.read(int(self.headers.get('Content-Length', '0')))
        with open('results', 'ab') as file: file.write(self.path.encode() + b' ' + told + b'\\n')
        self.send_response(200); self.send_header('Content-Length', '0'); self.end_headers()
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Files)
if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if kind == 'older': context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate + '.crt', certificate + '.key')
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
";
    let port = free_port();
    let mut command = Command::new("python3");
    command.args(["-c", script, &port.to_string(), kind, certificate]).current_dir(lab.path(""));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    answers(port);
    (Process(child), port)
}

pub fn job(lab: &Lab, connection: &str, host: &str, port: u16, file: &str) {
    let text = format!(
        r#"{{"Message":"Update Available","Board":"APP_KIT_1","Version":"1.1.0",
        "Connection":"{connection}","Broker":"{host}","Port":"{port}","File":"{file}"}}"#
    );
    std::fs::write(lab.path("ota_update.json"), text).unwrap();
}

#[test]
fn jobs_and_images_come_from_a_server_of_files_and_the_result_goes_to_it() {
    if !foreign("python3") {
        return;
    }
    // As long as whole blocks and one byte more, which the original never fetches.
    let lab = Lab::new("files", 40_000);
    let (_server, port) = python(&lab, true);
    job(&lab, "HTTP", "", 0, "/1.1.0.bin");
    let keys = "-k KIT-1 --key key.pem";
    let said = lab.ok(&format!("fetch http://127.0.0.1:{port} {keys} --out got.bin"));
    assert_eq!(said, "installed 1.1.0\n");
    assert!(lab.holds("got.bin", "1.1.0"));
    let results = std::fs::read_to_string(lab.path("results")).unwrap();
    assert!(results.contains("\"Message\":\"Success\""), "{results}");
    let line = format!("fetch http://127.0.0.1:{port}/1.2.0.bin --direct {keys} --out direct.bin");
    assert_eq!(lab.ok(&line), "installed 1.2.0\n");
    assert!(lab.holds("direct.bin", "1.2.0"));
}

#[test]
fn a_server_that_does_not_send_parts_is_named() {
    if !foreign("python3") {
        return;
    }
    let lab = Lab::new("no-ranges", 40_000);
    let (_server, port) = python(&lab, false);
    job(&lab, "HTTP", "", 0, "/1.1.0.bin");
    let line = format!("fetch http://127.0.0.1:{port} -k KIT-1 --key key.pem --out got.bin");
    let said = lab.fails(&line);
    assert!(said.contains("does not send parts of files"), "{said}");
    assert!(!lab.path("got.bin").exists());
}

#[test]
fn a_server_that_hangs_up_without_an_answer_has_not_said_that_there_is_no_update() {
    if !foreign("python3") {
        return;
    }
    let lab = Lab::new("hangs-up", 10_000);
    let (_server, port) = python(&lab, true);
    // It hears the question first, and so hangs up in peace.
    let rude = TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = rude.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut line in rude.incoming().flatten() {
            let _ = line.read(&mut [0; 4096]);
        }
    });
    let keys = "-k KIT-1 --key key.pem";
    let said = lab.fails(&format!("fetch http://127.0.0.1:{nowhere} {keys} --out got.bin"));
    assert!(said.contains("closed the connection too early"), "{said}");
    // That there is no job is an answer.
    let line = format!("fetch http://127.0.0.1:{port} {keys} --out got.bin");
    assert_eq!(lab.ok(&line), "there is no update\n");
}

#[test]
fn a_job_over_mqtt_sends_devices_to_a_server_of_files() {
    if !foreign("mosquitto and python3") {
        return;
    }
    let lab = Lab::new("redirect", 40_000);
    let _broker = lab.broker();
    let (_server, port) = python(&lab, true);
    job(&lab, "HTTP", "127.0.0.1", port, "/1.1.0.bin");
    let mut publisher = lab.publish(lab.tls, "-k KIT-1 --count 1");
    assert_eq!(lab.ok(&format!("{} -k KIT-1", lab.fetch(lab.tls, "got.bin"))), "installed 1.1.0\n");
    assert!(lab.holds("got.bin", "1.1.0"));
    publisher.wait("succeeded");
    assert!(publisher.ends().0);
}

#[test]
fn a_job_over_http_sends_devices_to_a_broker_and_the_result_comes_back() {
    if !foreign("mosquitto and python3") {
        return;
    }
    let lab = Lab::new("to-broker", 40_000);
    let _broker = lab.broker();
    for (scheme, certificate, port) in
        [("http", "", lab.plain), ("https", "mosquitto_server", lab.tls)]
    {
        let _ = std::fs::remove_file(lab.path("results"));
        let (_server, files) = serve(&lab, "ranges", certificate);
        job(&lab, "MQTT", "127.0.0.1", port, "");
        let mut publisher = lab.publish(port, "-k KIT-1 -f 1.1.0.bin --job ota_update.json");
        let keys = "-k KIT-1 --key key.pem";
        let file = format!("{scheme}.bin");
        let said = lab.ok(&format!("fetch {scheme}://127.0.0.1:{files} {keys} --out {file}"));
        assert_eq!(said, "installed 1.1.0\n");
        assert!(lab.holds(&file, "1.1.0"));
        publisher.wait("sent");
        // Who gave the job hears of it, and not who has sent the image.
        let results = std::fs::read_to_string(lab.path("results")).unwrap();
        assert!(results.contains("\"Message\":\"Success\""), "{results}");
        publisher.kill();
        assert!(publisher.told.iter().all(|told| told["event"] != "succeeded"));
    }
}

#[test]
fn a_job_over_mqtt_sends_devices_to_another_broker_and_back() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("two-brokers", 40_000);
    let other = lab.neighbour();
    let (_broker, _other) = (lab.broker(), other.broker());
    for (first, second) in [(lab.tls, other.tls), (lab.plain, other.plain)] {
        job(&lab, "MQTT", "127.0.0.1", second, "");
        let mut offers = lab.publish(first, "-k KIT-1 --job ota_update.json --count 1");
        let mut sends = other.publish(second, "-k KIT-1 -f 1.1.0.bin --job ota_update.json");
        let file = format!("{first}.bin");
        let said = lab.ok(&format!("{} -k KIT-1", lab.fetch(first, &file)));
        assert_eq!(said, "installed 1.1.0\n");
        assert!(lab.holds(&file, "1.1.0"));
        sends.wait("sent");
        offers.wait("succeeded");
        assert!(offers.ends().0);
        sends.kill();
    }
}

#[test]
fn jobs_and_images_come_over_https_of_either_version_of_tls() {
    if !foreign("mosquitto and python3") {
        return;
    }
    let lab = Lab::new("https", 40_000);
    let _broker = lab.broker();
    let keys = "-k KIT-1 --key key.pem";
    for kind in ["ranges", "older", "closes"] {
        let (_server, port) = serve(&lab, kind, "mosquitto_server");
        job(&lab, "HTTPS", "", 0, "/1.1.0.bin");
        let file = |flow: &str| format!("{kind}-{flow}.bin");
        let https = format!("fetch https://127.0.0.1:{port}");
        let said = lab.ok(&format!("{https} {keys} --out {}", file("job")));
        assert_eq!(said, "installed 1.1.0\n", "{kind}");
        let said = lab.ok(&format!("{https}/1.2.0.bin --direct {keys} --out {}", file("direct")));
        assert_eq!(said, "installed 1.2.0\n", "{kind}");
        // From a broker over TLS to files over TLS, and back.
        job(&lab, "HTTPS", "127.0.0.1", port, "/1.1.0.bin");
        let mut publisher = lab.publish(lab.tls, "-k KIT-1 --count 1");
        let said = lab.ok(&format!("{} -k KIT-1", lab.fetch(lab.tls, &file("redirected"))));
        assert_eq!(said, "installed 1.1.0\n", "{kind}");
        publisher.wait("succeeded");
        assert!(publisher.ends().0);
        for (flow, version) in [("job", "1.1.0"), ("direct", "1.2.0"), ("redirected", "1.1.0")] {
            assert!(lab.holds(&file(flow), version), "{kind}, {flow}");
        }
    }
    let results = std::fs::read_to_string(lab.path("results")).unwrap();
    assert_eq!(results.matches("\"Message\":\"Success\"").count(), 3, "{results}");
}

#[test]
fn servers_of_https_that_do_not_fit_are_named_and_nothing_is_kept() {
    if !foreign("python3") {
        return;
    }
    let lab = Lab::new("https-wrong", 40_000);
    for (host, folder) in [("127.0.0.1", "other"), ("files.lan", "named")] {
        std::fs::create_dir(lab.path(folder)).unwrap();
        lab.ok(&format!("certs lab {host} --dir {folder}"));
    }
    late(&lab);
    job(&lab, "HTTPS", "", 0, "/1.1.0.bin");
    for (kind, certificate, more, why) in [
        ("ranges", "late", "", "its certificate has expired"),
        ("ranges", "other/mosquitto_server", "", "of the same name, and another one"),
        (
            "ranges",
            "named/mosquitto_server",
            "--ca named/mosquitto_ca.crt",
            "its certificate is for",
        ),
        ("plain", "mosquitto_server", "", "does not send parts of files"),
        ("endless", "mosquitto_server", "--timeout 4", "sent more than it was asked for"),
    ] {
        let (_server, port) = serve(&lab, kind, certificate);
        let line = format!("fetch https://127.0.0.1:{port} -k KIT-1 --key key.pem --out got.bin");
        let said = lab.fails(&format!("{line} {more}"));
        assert!(said.contains(why), "{kind}, {certificate}: {said}");
        assert!(!lab.path("got.bin").exists(), "{kind}, {certificate}");
    }
    // The same device takes the image from a server that is as it should be.
    let (_server, port) = serve(&lab, "ranges", "mosquitto_server");
    let line = format!("fetch https://127.0.0.1:{port} -k KIT-1 --key key.pem --out got.bin");
    assert_eq!(lab.ok(&line), "installed 1.1.0\n");
    assert!(lab.holds("got.bin", "1.1.0"));
}

/// A certificate for this computer that ended yesterday.
pub fn late(lab: &Lab) {
    let openssl = |line: &str| {
        let mut command = Command::new("openssl");
        let output = command.args(line.split(' ')).current_dir(lab.path("")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    std::fs::write(lab.path("extensions"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl("ecparam -genkey -name prime256v1 -noout -out late.key");
    openssl("req -new -key late.key -subj /CN=late -out late.csr");
    openssl(
        "x509 -req -CA mosquitto_ca.crt -CAkey mosquitto_ca.key -CAcreateserial -days -1 -in late.csr \
         -out late.crt -extfile extensions",
    );
}
