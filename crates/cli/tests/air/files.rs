//! Jobs and images from servers of HTTP that others wrote.

use std::process::{Command, Stdio};

use crate::support::{Lab, Process, answers, foreign, free_port};

/// Python's server of files; with `ranges` it is taught these.
pub fn python(lab: &Lab, ranges: bool) -> (Process, u16) {
    let script = "
import http.server, os, re, sys
class Ranges(http.server.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        wanted = re.fullmatch(r'bytes=(\\d+)-(\\d+)', self.headers.get('Range', ''))
        if not wanted: return super().do_GET()
        with open(self.translate_path(self.path), 'rb') as file: content = file.read()
        first, last = int(wanted[1]), min(int(wanted[2]), len(content) - 1)
        self.send_response(206)
        self.send_header('Content-Range', f'bytes {first}-{last}/{len(content)}')
        self.send_header('Content-Length', str(last + 1 - first))
        self.end_headers()
        self.wfile.write(content[first:last + 1])
    def do_POST(self):
        told = self.rfile.read(int(self.headers.get('Content-Length', '0')))
        with open('results', 'ab') as file: file.write(self.path.encode() + b' ' + told + b'\\n')
        self.send_response(200); self.send_header('Content-Length', '0'); self.end_headers()
handler = Ranges if sys.argv[2] == 'ranges' else http.server.SimpleHTTPRequestHandler
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), handler).serve_forever()
";
    let port = free_port();
    let kind = if ranges { "ranges" } else { "plain" };
    let mut command = Command::new("python3");
    command.args(["-c", script, &port.to_string(), kind]).current_dir(lab.path(""));
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
