//! The chat completions dialect of OpenAI and of everybody who speaks it: requests and answers into the middle and back.
