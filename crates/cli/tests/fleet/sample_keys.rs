//! Images that everybody can sign stay out, from the command as from anybody.

use crate::support::{Lab, SAMPLES, json, sample};

#[test]
fn published_keys_are_refused_unless_both_sides_allow_them() {
    let lab = Lab::new("samples");
    let token = lab.token("ci");
    let mut kept = 0;
    for (options, flag, admitted) in [
        ("", "", false),
        ("", " --allow-sample-key", false),
        ("--allow-sample-key", "", false),
        ("--allow-sample-key", " --allow-sample-key", true),
        // What a lenient server took stays in the list, and goes no further.
        ("", " --allow-sample-key", false),
    ] {
        let server = lab.serve(options);
        for (file, key) in SAMPLES {
            let path = sample(file);
            let add = format!("add {} --name {key}{flag}", path.display());
            if admitted {
                let said = lab.stdout(&server.line(&add, &token));
                assert!(said.contains(&format!("published key {key}")), "{said}");
                continue;
            }
            let (code, said) = lab.refused(&server.line(&add, &token));
            assert_eq!(code, Some(1));
            assert!(said.contains(&format!("it is signed with {key}")), "{said}");
            assert!(said.contains("try: `updraft key new` makes a key of your own"), "{said}");
            let told = json(&lab.run(&server.line(&format!("{add} --json"), &token)));
            assert_eq!(told["problem"]["type"], "urn:updraft:problem:sample-key");
            assert_eq!(told["problem"]["key"], key);
        }
        let releases = json(&lab.run(&server.line("list --json", &token)));
        kept = if admitted { SAMPLES.len() } else { kept };
        assert_eq!(releases.as_array().unwrap().len(), kept);
        let log = std::fs::read_to_string(lab.path("server.log")).unwrap();
        let withheld = log.matches("are not given out any more").count();
        assert_eq!(withheld, if options.is_empty() { kept } else { 0 }, "{log}");
    }
}
