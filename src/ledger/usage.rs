//! The canonical usage of one exchange: what the provider said it counted, or what was estimated in its place, and which of
//! the two. A count that nobody gave is unknown, not 0.

use crate::base::money::Pico;

/// Tokens of one exchange. `input` is everything read and `output` everything generated, reasoning included; the other
/// counts of tokens are parts of these two, or of `cache_read` and `cache_write`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: Option<u64>,
    pub output: Option<u64>,
    /// Of the input: read from the provider's cache.
    pub cache_read: Option<u64>,
    /// Of the input: written to the provider's cache, for whatever time.
    pub cache_write: Option<u64>,
    /// Of `cache_write`: written to be kept for an hour. The rest is kept for five minutes.
    pub cache_write_1h: Option<u64>,
    /// Of the input, cached or not.
    pub input_audio: Option<u64>,
    pub input_image: Option<u64>,
    /// Of both `cache_read` and `input_audio`.
    pub cache_read_audio: Option<u64>,
    /// Of the output.
    pub reasoning: Option<u64>,
    pub output_audio: Option<u64>,
    pub output_image: Option<u64>,
    /// Calls of the provider's own tools, by [`ServerTool`]; each may cost something.
    pub tools: ToolCalls,
    /// What the provider says that this one exchange costs, in dollars that it read off its own price list.
    pub stated_cost: Option<Pico>,
    /// The sum of input and output as the provider gave it, to hold the counts against.
    pub stated_total: Option<u64>,
    /// The class of service that the provider says it gave.
    pub mode: Option<Mode>,
    /// The provider says that this exchange costs more than its price list does: for its place, or for its speed.
    pub has_surcharge: bool,
    /// Some of the counts are estimates.
    pub is_estimated: bool,
}

/// How the counts are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// The provider counted.
    Measured,
    /// The gateway estimated at least one of input and output.
    Estimated,
    /// Nobody counted.
    Unknown,
}

/// A tool that runs at the provider and is billed by the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerTool {
    WebSearch,
    WebFetch,
    FileSearch,
    CodeExecution,
    /// Any further one that the provider names.
    Other,
}

impl ServerTool {
    pub const COUNT: usize = 5;
    pub const ALL: [ServerTool; ServerTool::COUNT] = [
        ServerTool::WebSearch,
        ServerTool::WebFetch,
        ServerTool::FileSearch,
        ServerTool::CodeExecution,
        ServerTool::Other,
    ];

    /// Its name in price lists and records.
    pub fn name(self) -> &'static str {
        ["web_search", "web_fetch", "file_search", "code_execution", "other_tool"][self as usize]
    }
}

/// Calls by tool. None at all where nobody stated any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToolCalls(pub [u32; ServerTool::COUNT]);

impl ToolCalls {
    pub fn of(&self, tool: ServerTool) -> u32 {
        self.0[tool as usize]
    }

    /// Counts further calls; the count stops at its end.
    pub fn add(&mut self, tool: ServerTool, calls: u64) {
        let count = &mut self.0[tool as usize];
        *count = count.saturating_add(u32::try_from(calls).unwrap_or(u32::MAX));
    }

    pub fn is_empty(&self) -> bool {
        *self == ToolCalls::default()
    }
}

/// A class of service that a price list has prices of its own for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Standard,
    Batch,
    Flex,
    Priority,
    /// One that no price list here knows.
    Other,
}

impl Mode {
    /// Those that a price list can hold.
    pub const PRICED: [Mode; 4] = [Mode::Standard, Mode::Batch, Mode::Flex, Mode::Priority];

    /// Reads `service_tier` of an answer, as OpenAI's, Anthropic's and their followers' APIs spell it. `auto` is no answer
    /// and so `None`.
    pub fn of_word(word: &str) -> Option<Mode> {
        match word {
            "auto" | "" => None,
            "default" | "standard" | "on_demand" | "standard_only" => Some(Mode::Standard),
            "batch" => Some(Mode::Batch),
            "flex" => Some(Mode::Flex),
            "priority" => Some(Mode::Priority),
            _ => Some(Mode::Other),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Mode::Standard => "standard",
            Mode::Batch => "batch",
            Mode::Flex => "flex",
            Mode::Priority => "priority",
            Mode::Other => "other",
        }
    }
}

/// What the counts of one provider mean where its grammar does not tell. Data of the provider's file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageRules {
    /// The stated output leaves thoughts out that nobody states; the total holds them.
    pub output_is_total_minus_input: bool,
    /// The cost in its usage is what it bills, in US dollars. Without this it is not looked at.
    pub states_cost: bool,
    /// A request with searches has one fee, however many they were.
    pub searches_billed_once: bool,
}

impl Usage {
    /// Merges a later report of the same exchange: what it states wins, what it leaves out stays.
    /// Reports are never added up, because providers repeat them.
    pub fn merge(&mut self, later: Usage) {
        let counts = [
            (&mut self.input, later.input),
            (&mut self.output, later.output),
            (&mut self.cache_read, later.cache_read),
            (&mut self.cache_write, later.cache_write),
            (&mut self.cache_write_1h, later.cache_write_1h),
            (&mut self.input_audio, later.input_audio),
            (&mut self.input_image, later.input_image),
            (&mut self.cache_read_audio, later.cache_read_audio),
            (&mut self.reasoning, later.reasoning),
            (&mut self.output_audio, later.output_audio),
            (&mut self.output_image, later.output_image),
            (&mut self.stated_total, later.stated_total),
        ];
        for (count, stated) in counts {
            *count = stated.or(*count);
        }
        if !later.tools.is_empty() {
            self.tools = later.tools;
        }
        self.stated_cost = later.stated_cost.or(self.stated_cost);
        self.mode = later.mode.or(self.mode);
        self.has_surcharge |= later.has_surcharge;
        self.is_estimated |= later.is_estimated;
    }

    /// Whether anything was counted.
    pub fn is_known(&self) -> bool {
        self.input.is_some() || self.output.is_some()
    }

    pub fn known_by(&self) -> KnownBy {
        match (self.is_known(), self.is_estimated) {
            (false, _) => KnownBy::Unknown,
            (true, true) => KnownBy::Estimated,
            (true, false) => KnownBy::Measured,
        }
    }

    /// The counts as this provider means them. Doing it twice changes nothing more.
    pub fn by(mut self, rules: UsageRules) -> Usage {
        if !rules.states_cost {
            self.stated_cost = None;
        }
        if rules.searches_billed_once {
            let searches = &mut self.tools.0[ServerTool::WebSearch as usize];
            *searches = (*searches).min(1);
        }
        if rules.output_is_total_minus_input
            && let (Some(input), Some(output), Some(total)) = (self.input, self.output, self.stated_total)
            && let Some(whole) = total.checked_sub(input)
            && let Some(thoughts) = whole.checked_sub(output).filter(|&thoughts| thoughts > 0)
        {
            self.output = Some(whole);
            self.reasoning = self.reasoning.or(Some(thoughts));
        }
        self
    }

    /// Puts estimates where nobody counted. What the provider stated stays.
    pub fn estimate_missing(&mut self, input: u64, output: u64) {
        self.is_estimated |= self.input.is_none() || self.output.is_none();
        self.input.get_or_insert(input);
        self.output.get_or_insert(output);
    }

    /// The answer ended before the provider's last word: at least so much of the output was seen. A stream's first report
    /// often holds an output of 1, which the later ones would have replaced.
    pub fn estimate_cut_output(&mut self, seen: u64) {
        if self.output.is_none_or(|stated| stated < seen) {
            self.output = Some(seen);
            self.is_estimated = true;
        }
    }

    /// Input, output and the provider's own total, where the three do not fit: its counts may mean something else than they
    /// are taken for.
    pub fn mismatch(&self) -> Option<(u64, u64, u64)> {
        let (input, output, total) = (self.input?, self.output?, self.stated_total?);
        let fits = self.is_estimated || input.checked_add(output) == Some(total);
        (!fits).then_some((input, output, total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(input: u64, output: u64) -> Usage {
        Usage { input: Some(input), output: Some(output), ..Usage::default() }
    }

    #[test]
    fn a_later_report_replaces_and_never_adds() {
        let mut usage = known(43, 1);
        usage.merge(Usage { input: Some(61), ..Usage::default() });
        usage.merge(Usage { output: Some(9), ..Usage::default() });
        assert_eq!(usage, known(61, 9));
        let mut tools = ToolCalls::default();
        tools.add(ServerTool::WebSearch, 2);
        let full = Usage {
            cache_read: Some(1),
            cache_write: Some(2),
            cache_write_1h: Some(3),
            input_audio: Some(4),
            input_image: Some(5),
            cache_read_audio: Some(6),
            reasoning: Some(7),
            output_audio: Some(8),
            output_image: Some(9),
            tools,
            stated_cost: Some(Pico(10)),
            stated_total: Some(11),
            mode: Some(Mode::Flex),
            has_surcharge: true,
            is_estimated: true,
            ..known(1, 2)
        };
        let mut merged = known(5, 6);
        merged.merge(full);
        assert_eq!(merged, full);
        merged.merge(full);
        merged.merge(Usage::default());
        assert_eq!(merged, full, "what a report leaves out stays");
    }

    #[test]
    fn an_output_without_its_thoughts_is_made_whole_by_the_total() {
        let rules = UsageRules { output_is_total_minus_input: true, ..UsageRules::default() };
        let stated = |total| Usage { stated_total: Some(total), ..known(10, 5) };
        let thought = stated(40).by(rules);
        assert_eq!((thought.output, thought.reasoning, thought.mismatch()), (Some(30), Some(25), None));
        assert_eq!(thought.by(rules), thought);
        assert_eq!(stated(40).by(UsageRules::default()).mismatch(), Some((10, 5, 40)));
        assert_eq!(stated(15).by(rules), stated(15));
        assert_eq!(stated(3).by(rules), stated(3), "a total that cannot be is left for the mismatch");
    }

    #[test]
    fn searches_count_one_by_one_or_once() {
        let searched = |calls| {
            let mut tools = ToolCalls::default();
            tools.add(ServerTool::WebSearch, calls);
            Usage { tools, ..Usage::default() }
        };
        let once = UsageRules { searches_billed_once: true, ..UsageRules::default() };
        assert_eq!(searched(3).by(once), searched(1));
        assert_eq!(searched(0).by(once), searched(0));
        assert_eq!(searched(3).by(UsageRules::default()), searched(3));
    }

    #[test]
    fn a_cost_is_believed_where_the_providers_file_says_so() {
        let stated = Usage { stated_cost: Some(Pico(7)), ..known(1, 1) };
        assert_eq!(stated.by(UsageRules::default()).stated_cost, None);
        let rules = UsageRules { states_cost: true, ..UsageRules::default() };
        assert_eq!(stated.by(rules).stated_cost, Some(Pico(7)));
    }

    #[test]
    fn an_estimate_is_called_one_and_fits_any_total() {
        let mut usage = Usage { stated_total: Some(99), ..known(10, 1) };
        usage.estimate_missing(70, 80);
        assert_eq!((usage.known_by(), usage.output), (KnownBy::Measured, Some(1)));
        usage.estimate_cut_output(1);
        assert_eq!(usage.known_by(), KnownBy::Measured);
        usage.estimate_cut_output(12);
        assert_eq!((usage.known_by(), usage.output, usage.mismatch()), (KnownBy::Estimated, Some(12), None));
        let mut unknown = Usage::default();
        assert_eq!(unknown.known_by(), KnownBy::Unknown);
        unknown.estimate_missing(70, 80);
        assert_eq!(unknown, Usage { is_estimated: true, ..known(70, 80) });
    }

    #[test]
    fn a_class_of_service_is_known_or_other_and_auto_is_none() {
        let words = ["auto", "default", "standard", "batch", "flex", "priority", "scale"];
        let modes = words.map(|word| Mode::of_word(word).map(Mode::name));
        let want = ["standard", "standard", "batch", "flex", "priority", "other"].map(Some);
        assert_eq!(modes[0], None);
        assert_eq!(modes[1..], want);
    }
}
