//! Metrics in the OpenMetrics text format. The text is not trusted: what cannot be parsed is left out.

/// Samples in the order of the text.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<Sample>);

#[derive(Debug, PartialEq)]
pub(super) struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    pub(super) value: f64,
}

impl Samples {
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(Sample::parse).collect())
    }

    /// All samples of a name.
    pub(super) fn of(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }

    /// The value of the first sample of a name.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        self.of(name).map(|sample| sample.value).next()
    }

    /// The first sample of a name, as a count.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.of(name).map(Sample::count).next()
    }

    /// The sum over all samples of a name.
    pub(super) fn total(&self, name: &str) -> u64 {
        self.of(name).map(Sample::count).fold(0, u64::saturating_add)
    }
}

impl Sample {
    /// Parses `name{label="value",…} value`. A time or an exemplar after it is ignored. Comments give `None`.
    fn parse(line: &str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(end);
        if name.is_empty() || name.starts_with('#') {
            return None;
        }
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (vec![], rest),
        };
        let value = rest.split_whitespace().next()?.parse().ok()?;
        Some(Self { name: name.to_owned(), labels, value })
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| &**value)
    }

    /// The value as a count: zero if it is negative or not a number.
    pub(super) fn count(&self) -> u64 {
        self.value as u64
    }
}

/// Parses labels up to the closing brace; returns them and the rest.
fn labels(mut text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = vec![];
    loop {
        text = text.trim_start_matches(',');
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let (value, rest) = quoted(rest)?;
        labels.push((name.to_owned(), value));
        text = rest;
    }
}

/// Parses a value up to its closing quote; returns it and the rest.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(match chars.next()? {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let samples = Samples::parse(
            "# TYPE jobs gauge\njobs{tee_type=\"sgx\",status=\"failed\"} 3\njobs{tee_type=\"a\\\"},\\n\\\\\"} 4 1700000000\n\
             up 1\nleft -2.5e1\ntotal 7 # {id=\"x\"} 1\nnothing NaN\n# EOF\n",
        );
        let labels = samples.of("jobs").map(|sample| sample.label("tee_type").unwrap()).collect::<Vec<_>>();
        assert_eq!(labels, ["sgx", "a\"},\n\\"]);
        assert_eq!((samples.total("jobs"), samples.count("up"), samples.value("left")), (7, Some(1), Some(-25.0)));
        assert_eq!(
            (samples.count("left"), samples.count("nothing"), samples.count("total")),
            (Some(0), Some(0), Some(7))
        );
        assert_eq!(samples.value("absent"), None);
    }

    #[test]
    fn what_is_no_sample_is_left_out() {
        for line in [
            "",
            " ",
            "{",
            "name",
            "name{",
            "name{a=\"b",
            "name{a=\"b\\",
            "name{a} 1",
            "name{} x",
            "{} 1",
            "# 1",
            "é{=\"\"}",
        ] {
            assert_eq!(Sample::parse(line), None, "{line}");
        }
        let huge = Samples::parse("a 1e400\na 18446744073709551616");
        assert_eq!(huge.total("a"), u64::MAX);
    }
}
