//! Every metric there is: its name, its labels, and what it says.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How many were how long.
    Histogram,
}

/// A metric: its name, what it is, its labels, and what it says. docs/metrics.md is checked against these.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Without `_total`, which counters get when they are written.
    pub name: &'static str,
    /// What it is.
    pub sort: Sort,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn metric(
    name: &'static str,
    sort: Sort,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, sort, labels, help }
}

/// All metrics, in the order in which they are written.
pub const METRICS: &[Metric] = &[
    metric("rotakey_build_info", Sort::Gauge, &["version"], "Always 1; the version is its label"),
    metric("rotakey_start_time_seconds", Sort::Gauge, &[], "When the agent began, as Unix time"),
    metric(
        "rotakey_engine_up",
        Sort::Gauge,
        &[],
        "1 while the engine works; programs are served without it, and nothing is rotated",
    ),
    metric(
        "rotakey_key_info",
        Sort::Gauge,
        &["profile", "stage", "access_key_id", "status"],
        "Always 1; a key of the profile: stage is current, previous or pending, status what IAM said last",
    ),
    metric(
        "rotakey_key_age_seconds",
        Sort::Gauge,
        &["profile", "stage"],
        "Age of a key by its CreateDate; CIS asks for at most 7776000 (90 days)",
    ),
    metric("rotakey_key_generation", Sort::Gauge, &["profile"], "Counts publishes"),
    metric(
        "rotakey_rotation_step",
        Sort::Gauge,
        &["profile", "step"],
        "1 for the step at which a rotation is, else 0",
    ),
    metric(
        "rotakey_rotation_step_since_seconds",
        Sort::Gauge,
        &["profile"],
        "Since when the rotation is at its step, as Unix time; absent if none runs",
    ),
    metric("rotakey_rotation_stuck", Sort::Gauge, &["profile"], "1 if a person has to decide"),
    metric(
        "rotakey_rotations",
        Sort::Counter,
        &["profile", "outcome"],
        "Rotations that have ended: rotated, undone or given-up; from the journal, so restarts do not set it back",
    ),
    metric(
        "rotakey_next_rotation_timestamp_seconds",
        Sort::Gauge,
        &["profile"],
        "When the next rotation is due, as Unix time; absent while one runs",
    ),
    metric(
        "rotakey_last_rotation_timestamp_seconds",
        Sort::Gauge,
        &["profile"],
        "When the last rotation was complete, as Unix time",
    ),
    metric(
        "rotakey_last_rotation_two_active_seconds",
        Sort::Gauge,
        &["profile"],
        "How long two keys were Active at once in the last rotation (CIS 1.13)",
    ),
    metric(
        "rotakey_last_failure_timestamp_seconds",
        Sort::Gauge,
        &["profile"],
        "When a rotation was last undone, given up or stuck, as Unix time",
    ),
    metric(
        "rotakey_scheduler_failures",
        Sort::Gauge,
        &["profile"],
        "Failures in a row; 0 when it went well",
    ),
    metric(
        "rotakey_scheduler_waiting",
        Sort::Gauge,
        &["profile", "waits_for"],
        "1 for what the scheduler waits for, by docs/agent.md; a person has to act on `a person`, `straggler` and `mfa`",
    ),
    metric(
        "rotakey_lease_horizon_timestamp_seconds",
        Sort::Gauge,
        &["profile", "stage"],
        "The latest Expiration promised for a key, as Unix time",
    ),
    metric(
        "rotakey_healthy_since_timestamp_seconds",
        Sort::Gauge,
        &["profile"],
        "Since when programs could fetch without a gap, as Unix time",
    ),
    metric(
        "rotakey_holders",
        Sort::Gauge,
        &["profile", "stage"],
        "Programs that hold a key, as far as they could be told",
    ),
    metric(
        "rotakey_session_expiry_timestamp_seconds",
        Sort::Gauge,
        &["profile"],
        "When the session that is served ends, as Unix time",
    ),
    metric(
        "rotakey_clock_offset_seconds",
        Sort::Gauge,
        &["profile"],
        "AWS's clock less ours, when a key was last created",
    ),
    metric("rotakey_journal_lines", Sort::Gauge, &["profile"], "Lines of the journal"),
    metric("rotakey_audit_lines", Sort::Gauge, &[], "Lines of the audit trail"),
    metric(
        "rotakey_answers",
        Sort::Counter,
        &["source", "outcome"],
        "Answers to programs that may ask: given, or unavailable when there was nothing to give",
    ),
    metric("rotakey_refusals", Sort::Counter, &["reason"], "Requests that were turned away"),
    metric(
        "rotakey_answer_seconds",
        Sort::Histogram,
        &[],
        "How long answers over TCP took, from the request's head to the answer's",
    ),
    metric(
        "rotakey_aws_calls",
        Sort::Counter,
        &["outcome"],
        "Calls to AWS by rotations since the agent began: done, unknown (no answer), or the class of the refusal",
    ),
    metric(
        "rotakey_proxy_answers",
        Sort::Counter,
        &["profile", "class"],
        "Requests through the proxy that AWS answered, by the class of its answer: 2xx, 3xx, 4xx or 5xx",
    ),
    metric(
        "rotakey_proxy_fail_overs",
        Sort::Counter,
        &["profile"],
        "Requests through the proxy that were sent with the key that is not served, as AWS did not know the other one there",
    ),
    metric(
        "rotakey_proxy_refusals",
        Sort::Counter,
        &["reason"],
        "Requests that the proxy turned away, or could not send on",
    ),
];
