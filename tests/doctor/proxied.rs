//! A shell whose programs sign for the proxy.

use super::patient::Patient;

#[test]
fn programs_of_the_proxy_have_nothing_that_is_wrong() {
    for source in ["proxy", "connect"] {
        let mut patient = Patient::healthy();
        patient.agent = None;
        let agent = "[agent]\nlisten = \"127.0.0.1:0\"\nproxy_listen = \"127.0.0.1:0\"\n";
        patient.world.configure_agent(agent, "proxy_connect = true\n");
        patient.agent = Some(patient.world.agent());
        patient.follow(&format!("eval \"$(rotakey env app --source {source})\""));
        let (code, found) = patient.doctor(&[]);
        let wrong: Vec<_> = found.iter().filter(|(_, finding)| finding.verdict != "ok").collect();
        assert!(code == 0 && wrong.is_empty(), "{source}: {code} {wrong:#?}");
        let by_proxy = |(_, finding): &&(_, super::patient::Finding)| {
            finding.found.contains("proxy, by the placeholder")
        };
        assert!(found.iter().filter(by_proxy).count() > 5, "{source}: {found:#?}");
        // One that leads nowhere near the proxy is a key like any other.
        for name in ["AWS_ENDPOINT_URL", "HTTPS_PROXY", "https_proxy"] {
            patient.put(name, "");
        }
        let (code, found) = patient.doctor(&[]);
        let is_bad =
            |id: &str| found.iter().any(|(found, finding)| found == id && finding.verdict == "bad");
        assert!(code == 1 && is_bad("env.keys") && is_bad("programs"), "{source}: {found:#?}");
    }
}
