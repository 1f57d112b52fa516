//! What the environment says about spans: OpenTelemetry's own variables.
//!
//! What the SDK reads by itself (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_BSP_*`) is left to
//! it; what it would pass over in silence is looked at here, so that a server does not start with other settings than were meant.
//! Start at [`Settings::read`].
//!
//! Invariant: no value of a variable is in a refusal but that of one which holds no secret.

use http::Uri;
use std::path::PathBuf;
use std::time::Duration;

/// Bound on one try to give a batch to the collector, where nothing else is said.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that one try may take.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);
/// What decides which traces are kept, as the SDK knows them.
const SAMPLERS: [&str; 4] = ["always_on", "always_off", "parentbased_always_on", "parentbased_always_off"];
const RATIO_SAMPLERS: [&str; 2] = ["traceidratio", "parentbased_traceidratio"];

/// Spans cannot be exported as the environment asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {why}")]
pub struct Refused {
    /// The variable that is at fault.
    pub variable: String,
    /// What is wrong with it.
    pub why: String,
    /// What to do.
    pub fix: String,
}

impl Refused {
    pub(crate) fn new(variable: &str, why: impl Into<String>, fix: &str) -> Self {
        Self { variable: variable.to_owned(), why: why.into(), fix: fix.to_owned() }
    }
}

/// Where spans go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The collector: `http` or `https`, a host, a port where there is one.
    pub(crate) endpoint: Uri,
    /// The variable that named it.
    pub(crate) named_by: &'static str,
    /// Bound on one try.
    pub(crate) timeout: Duration,
    /// Whom to believe over TLS, with its variable; `None`: whom this machine believes.
    pub(crate) authorities: Option<(&'static str, PathBuf)>,
}

/// The value of a variable; an empty one counts as none, as OpenTelemetry says.
struct Variables<L>(L);

impl<L: Fn(&str) -> Option<String>> Variables<L> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The first that is set.
    fn first(&self, names: [&'static str; 2]) -> Option<(&'static str, String)> {
        names.into_iter().find_map(|name| Some((name, self.get(name)?)))
    }
}

impl Settings {
    /// What the variables that `look` finds say; `None` where spans are not wanted.
    ///
    /// # Errors
    /// They are wanted in a way that there is not.
    pub(crate) fn read(look: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Refused> {
        let variables = Variables(look);
        if variables.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let named = variables.first(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
        let Some((named_by, endpoint)) = named else { return Ok(None) };
        match variables.get("OTEL_TRACES_EXPORTER").as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(other) => {
                let why = format!("`{other}` is not there");
                return Err(Refused::new("OTEL_TRACES_EXPORTER", why, "leave it out, or set it to otlp or none"));
            }
        }
        check_protocol(&variables)?;
        check_compression(&variables)?;
        check_sampler(&variables)?;
        let is_insecure = variables
            .first(["OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"])
            .is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
        let authorities = variables.first(["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]);
        Ok(Some(Self {
            endpoint: address(named_by, &endpoint, if is_insecure { "http" } else { "https" })?,
            named_by,
            timeout: timeout(&variables)?,
            authorities: authorities.map(|(name, file)| (name, file.into())),
        }))
    }

    /// The collector, for people.
    pub(crate) fn collector(&self) -> &str {
        self.endpoint.authority().map_or("", http::uri::Authority::as_str)
    }
}

fn check_protocol(variables: &Variables<impl Fn(&str) -> Option<String>>) -> Result<(), Refused> {
    match variables.first(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]) {
        None => Ok(()),
        Some((_, value)) if value.eq_ignore_ascii_case("grpc") => Ok(()),
        Some((name, value)) => Err(Refused::new(
            name,
            format!("spans leave over gRPC only, not over `{value}`"),
            "leave it out or set it to grpc, and name the collector's port for gRPC, usually 4317",
        )),
    }
}

fn check_compression(variables: &Variables<impl Fn(&str) -> Option<String>>) -> Result<(), Refused> {
    match variables.first(["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"]) {
        None => Ok(()),
        Some((name, value)) => {
            Err(Refused::new(name, format!("spans are not compressed, with `{value}` neither"), "leave it out"))
        }
    }
}

fn check_sampler(variables: &Variables<impl Fn(&str) -> Option<String>>) -> Result<(), Refused> {
    let Some(sampler) = variables.get("OTEL_TRACES_SAMPLER") else { return Ok(()) };
    if RATIO_SAMPLERS.contains(&sampler.as_str()) {
        let ratio = variables.get("OTEL_TRACES_SAMPLER_ARG").and_then(|ratio| ratio.parse::<f64>().ok());
        return match ratio {
            Some(ratio) if (0.0..=1.0).contains(&ratio) => Ok(()),
            Some(_) | None => Err(Refused::new(
                "OTEL_TRACES_SAMPLER_ARG",
                format!("`{sampler}` needs the part of the traces that is kept"),
                "set it to a number from 0 to 1, such as 0.1",
            )),
        };
    }
    if SAMPLERS.contains(&sampler.as_str()) {
        return Ok(());
    }
    let fix = "set it to always_on, always_off, traceidratio, or one of these with parentbased_ before it";
    Err(Refused::new("OTEL_TRACES_SAMPLER", format!("`{sampler}` is not there"), fix))
}

fn timeout(variables: &Variables<impl Fn(&str) -> Option<String>>) -> Result<Duration, Refused> {
    let told = variables.first(["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]);
    let Some((name, text)) = told else { return Ok(USUAL_TIMEOUT) };
    match text.parse().map(Duration::from_millis) {
        Ok(timeout) if (Duration::from_millis(1)..=LONGEST_TIMEOUT).contains(&timeout) => Ok(timeout),
        Ok(_) | Err(_) => {
            let fix = "set it to whole milliseconds, 1 to 60000; 10000 is usual";
            Err(Refused::new(name, format!("`{text}` is no time to wait for the collector"), fix))
        }
    }
}

/// The address of a collector; `scheme` is that of one which names none. The text may hold a password and is not repeated.
fn address(variable: &'static str, text: &str, scheme: &str) -> Result<Uri, Refused> {
    let fix = "write it as http://HOST:PORT or https://HOST:PORT, with the collector's port for gRPC, usually 4317";
    let bad = |why: &str| Refused::new(variable, why, fix);
    let whole = if text.contains("://") { text.to_owned() } else { format!("{scheme}://{text}") };
    let uri: Uri = whole.parse().map_err(|_| bad("it is no address"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(_) | None => return Err(bad("its scheme is neither http nor https")),
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(bad("it names no host"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        let fix = "put what the collector wants to know of the sender into OTEL_EXPORTER_OTLP_HEADERS";
        return Err(Refused::new(variable, "a user or a password is in it", fix));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(bad("it has a path, as addresses for OTLP over HTTP have; spans leave over gRPC"));
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, Refused> {
        Settings::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

    #[test]
    fn spans_are_off_unless_a_collector_is_named() {
        for off in [
            vec![],
            vec![(ENDPOINT, "")],
            vec![(ENDPOINT, " ")],
            vec![("OTEL_TRACES_SAMPLER", "no such"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")],
            vec![(ENDPOINT, "http://c:4317"), ("OTEL_SDK_DISABLED", "TRUE")],
            vec![(ENDPOINT, "http://c:4317"), ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert_eq!(read(&off), Ok(None), "{off:?}");
        }
    }

    #[test]
    fn the_collector_is_where_the_variables_say() {
        let of = |variables: &[(&str, &str)]| read(variables).unwrap().unwrap();
        for (variables, address) in [
            (vec![(ENDPOINT, "http://c:4317")], "http://c:4317/"),
            (vec![(ENDPOINT, "https://c/")], "https://c/"),
            (vec![(ENDPOINT, "c:4317")], "https://c:4317/"),
            (vec![(ENDPOINT, "c:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", "true")], "http://c:4317/"),
            (vec![(ENDPOINT, "http://a:1"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:2")], "http://b:2/"),
            (vec![(ENDPOINT, "http://[::1]:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "gRPC")], "http://[::1]:4317/"),
        ] {
            assert_eq!(of(&variables).endpoint.to_string(), address, "{variables:?}");
        }
        let told = of(&[
            (ENDPOINT, "https://c:1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        assert_eq!((told.timeout, told.collector()), (Duration::from_millis(1500), "c:1"));
        assert_eq!(told.authorities, Some(("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem".into())));
    }

    #[test]
    fn what_would_be_passed_over_is_refused_by_its_name() {
        for (name, value) in [
            (ENDPOINT, "ftp://c:1"),
            (ENDPOINT, "http://"),
            (ENDPOINT, "a b"),
            (ENDPOINT, "http://c:4318/v1/traces"),
            (ENDPOINT, "http://c:4317?x=1"),
            (ENDPOINT, "http://user:sesame@c:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_TRACES_EXPORTER", "jaeger"),
            ("OTEL_TRACES_SAMPLER", "often"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "60001"),
        ] {
            let refused = read(&[(name, value), (ENDPOINT, "http://c:4317")]).unwrap_err();
            assert_eq!(refused.variable, name, "{value}: {refused}");
            assert!(!refused.why.contains("sesame") && !refused.fix.is_empty(), "{refused:?}");
        }
        for ratio in ["", "1.5", "-1", "NaN", "all"] {
            let variables = [
                (ENDPOINT, "http://c:4317"),
                ("OTEL_TRACES_SAMPLER", "traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", ratio),
            ];
            assert_eq!(read(&variables).unwrap_err().variable, "OTEL_TRACES_SAMPLER_ARG", "{ratio}");
        }
    }
}
