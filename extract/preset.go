package extract

// Default returns the chain for a gateway that serves all kinds of clients:
//
//	Chain{ClaudeCode(), Headers(), ClaudeUserID(), BodyIDs(), State(), UserID(), Trail()}
//
// What names a conversation takes precedence over what names a user, and both over what
// has to be worked out from the messages. If a header names the session, the body costs
// nothing, or a quick look in Anthropic's protocol (see [ClaudeCode]). If a body of more
// than 16 kB has several members that name a conversation, those within the first or the
// last kilobyte take precedence, and of those in between the first. (This does not apply
// to prompt_cache_key, which some applications send in all conversations.) So a request
// that has its id where clients put it costs the same whatever the size of its body. The
// slice is the caller's, to change before use.
func Default() Chain {
	return Chain{ClaudeCode(), Headers(), ClaudeUserID(), BodyIDs(), State(), UserID(), Trail()}
}

// Classic returns five steps that some gateways have, in their order, for those who
// migrate from one of these:
//
//	Chain{ClaudeUserID(), Header("X-Session-ID"), UserID(), Body("conversation_id"), Trail()}
//
// It sends all conversations of a user_id to one target, even where each has a
// conversation_id. The slice is the caller's, to change before use.
func Classic() Chain {
	return Chain{ClaudeUserID(), Header("X-Session-ID"), UserID(), Body("conversation_id"), Trail()}
}
