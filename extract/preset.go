package extract

// Default returns the chain for a gateway that serves all kinds of clients:
//
//	Chain{ClaudeCode(), Headers(), ClaudeUserID(), BodyIDs(), State(), UserID(), Trail()}
//
// Whoever says which conversation it is goes before what says which user, and
// both before what has to be worked out from the messages. A request that a
// header names costs no look at its body, or a quick one in Anthropic's protocol
// (see [ClaudeCode]). In a body of more than 16 kB, what names a conversation within
// the first or the last kilobyte goes before what does so in between, and there the
// first before the others (not prompt_cache_key, which some applications send in all
// of them): so what a request costs that has its id where clients put it does not
// grow with its body either. The slice is the caller's, to change before use.
func Default() Chain {
	return Chain{ClaudeCode(), Headers(), ClaudeUserID(), BodyIDs(), State(), UserID(), Trail()}
}

// Classic returns the five classic steps in their classic order, for those who
// migrate from gateways that have them:
//
//	Chain{ClaudeUserID(), Header("X-Session-ID"), UserID(), Body("conversation_id"), Trail()}
//
// It sends all conversations of a user_id to one target, even where each has a
// conversation_id. The slice is the caller's, to change before use.
func Classic() Chain {
	return Chain{ClaudeUserID(), Header("X-Session-ID"), UserID(), Body("conversation_id"), Trail()}
}
