//! Load, by wrk: a load generator that is not ours.

use std::process::Command;

use crate::world::Error;

/// What a round came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Requests answered, per second.
    pub(crate) per_second: f64,
    /// The 99th percentile of the time to an answer, in microseconds.
    pub(crate) p99_us: f64,
    /// The longest time to an answer, in microseconds.
    pub(crate) max_us: f64,
    /// Requests answered.
    pub(crate) requests: f64,
}

/// A target of load.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `127.0.0.1:<port>`.
    pub(crate) address: String,
    /// What is asked for.
    pub(crate) path: String,
    /// Headers, as `Name: value`.
    pub(crate) headers: Vec<String>,
    /// A script of wrk's, which may ask for other paths.
    pub(crate) script: Option<std::path::PathBuf>,
}

impl Target {
    /// Sends requests for some seconds over so many connections. An answer other than 200, or a connection that breaks,
    /// is an error: there are none.
    pub(crate) fn round(&self, connections: u32, seconds: u32) -> Result<Round, Error> {
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--latency", "--timeout", "10s"]).args([
            "--connections",
            &connections.to_string(),
            "--duration",
            &format!("{seconds}s"),
        ]);
        for header in &self.headers {
            wrk.args(["--header", header]);
        }
        if let Some(script) = &self.script {
            wrk.arg("--script").arg(script);
        }
        let output = wrk.arg(format!("http://{}{}", self.address, self.path)).output();
        let output = output.map_err(|error| format!("wrk: {error}; hint: apt-get install wrk"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() || text.contains("Non-2xx") || text.contains("Socket errors") {
            return Err(format!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
        }
        parse(&text).ok_or_else(|| format!("wrk said something else: {text}").into())
    }
}

fn parse(text: &str) -> Option<Round> {
    let words = |start: &str| {
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(start))?;
        Some(line.split_whitespace().collect::<Vec<_>>())
    };
    let requests = text.lines().find_map(|line| line.trim_start().split_once(" requests in "));
    Some(Round {
        per_second: words("Requests/sec:")?.first()?.parse().ok()?,
        p99_us: microseconds(words("99%")?.first()?)?,
        // Average, deviation, longest.
        max_us: microseconds(words("Latency  ")?.get(2)?)?,
        requests: requests?.0.parse().ok()?,
    })
}

fn microseconds(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let scale = match &text[digits.len()..] {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    Some(digits.parse::<f64>().ok()? * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read() {
        let text = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 8 connections\n  \
            Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
            Latency   151.21us  290.02us   7.06ms   97.11%\n    Req/Sec    66.71k     4.88k   72.56k    70.00%\n  \
            Latency Distribution\n     50%  104.00us\n     75%  128.00us\n     90%  193.00us\n     99%    1.27ms\n  \
            66376 requests in 1.00s, 8.99MB read\nRequests/sec:  66371.07\nTransfer/sec:      8.99MB\n";
        let round = parse(text).unwrap();
        assert_eq!((round.per_second, round.p99_us), (66371.07, 1270.0));
        assert_eq!((round.max_us, round.requests), (7060.0, 66376.0));
        assert_eq!(microseconds("1.5s"), Some(1.5e6));
        assert_eq!(microseconds("1.5"), None);
    }
}
