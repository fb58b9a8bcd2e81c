//! The Responses dialect of OpenAI: requests and answers into the middle and back.
