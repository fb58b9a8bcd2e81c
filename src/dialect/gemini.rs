//! The generateContent dialect of Gemini: requests and answers into the middle and back.
