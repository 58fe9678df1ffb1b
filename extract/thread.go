package extract

import "strings"

// parentHeader names the session that started this one, in requests of OpenCode and
// Kilo Code.
const parentHeader = "X-Parent-Session-Id"

// named returns the session of that id, which is in the body or comes from
// elsewhere, with all that method, path and headers say of it.
func (r *Request) named(source, id string, c Confidence) (s Session) {
	r.name(&s, source, id, c)
	return s
}

// name is named for a Session with room for that: what else is in it stays.
func (r *Request) name(s *Session, source, id string, c Confidence) {
	r.spelling()
	r.nameByHeader(s, source, id, c)
	r.Complete(s)
	if s.Class == Turn {
		s.Class = r.headerClass()
	}
}

// nameByHeader is name for an id that is in a header: of the other headers, only those
// of the client that sends it are looked at, and those of Complete are not.
func (r *Request) nameByHeader(s *Session, source, id string, c Confidence) {
	s.Source, s.ID, s.Confidence, s.incomplete = source, id, c, true
	s.Class = r.pathClass()
	switch s.Source {
	case claudeSource:
		// Only sub-agents send the first, only nested ones the second.
		if s.Thread = r.header("X-Claude-Code-Agent-Id"); s.Thread != "" {
			s.ParentThread = r.header("X-Claude-Code-Parent-Agent-Id")
		}
		if s.Class == Turn {
			s.Class = r.claudeClass(s.Thread)
		}
	case "session-id", "thread-id", "prompt_cache_key", "client_metadata.session_id":
		// Codex. The main thread has the id of the session.
		if s.Thread = r.header("Thread-Id"); s.Thread == "" {
			s.Thread = r.header("X-Openai-Subagent")
		}
		s.ParentThread = r.header("X-Codex-Parent-Thread-Id")
		s.mainIsNone()
		if s.Class == Turn {
			s.Class = r.codexClass()
		}
		if s.Source == "prompt_cache_key" {
			s.Parent = keyOfFork(s.ID)
		}
	case "x-grok-conv-id", "x-grok-session-id":
		s.Thread = r.header("X-Grok-Agent-Id")
	case "x-client-session-id":
		// Copilot CLI tells sub-agents from the main one, not from each other.
		if s.Class == Turn {
			s.Class = r.copilotClass()
		}
		if s.Class == Subagent {
			s.Thread = "subagent"
		}
	case "x-openclaw-session-key":
		s.Thread = r.header("X-Openclaw-Agent-Id")
	}
	if s.Parent == s.ID {
		s.Parent = ""
	}
}

// Complete looks up in the headers of r what [Chain.Find] has left out of s, if it has.
func (r *Request) Complete(s *Session) {
	if !s.incomplete {
		return
	}
	s.incomplete = false
	switch s.Source {
	case "x-session-id", "x-session-affinity", "x-opencode-session":
		// OpenCode, Kilo Code: a sub-agent is a session of its own.
		s.Parent = r.header(parentHeader)
		if s.Class == Turn && s.Parent != "" {
			s.Class = Subagent
		}
	case "session-id", "thread-id": // Codex
		if v := r.values("X-Codex-Turn-Metadata"); len(v) > 0 && alike(v) {
			s.forkOf(v[0])
		}
	case "x-conversation-id": // CodeBuddy
		s.Parent = r.header("X-Parent-Conversation-Id")
	case "x-dynamo-session-id":
		s.Parent = r.header("X-Dynamo-Parent-Session-Id")
	}
	if s.Parent == s.ID {
		s.Parent = ""
	}
}

// nameByMetadata adds what Codex says in the body's client_metadata as well as in
// headers, which proxies drop. See its responses_metadata.rs.
func (s *Session) nameByMetadata(metadata []byte) {
	if s.Thread == "" {
		var ok bool
		if s.Thread, ok = jsonID(lastMember(metadata, "thread_id")); !ok {
			s.Thread, _ = jsonID(lastMember(metadata, "x-openai-subagent"))
		}
		s.ParentThread, _ = jsonID(lastMember(metadata, "x-codex-parent-thread-id"))
		s.mainIsNone()
	}
	if s.Class == Turn {
		s.Class = bodyCodexClass(metadata)
	}
	turn, _ := text(lastMember(metadata, "x-codex-turn-metadata"))
	s.forkOf(turn)
}

// forkOf takes what a session of Codex was forked from, by that metadata of a turn, for its
// parent: the two begin alike. Sub-agents are in the session of theirs.
func (s *Session) forkOf(metadata string) {
	if s.Thread != "" || len(metadata) >= maxRaw || !strings.Contains(metadata, "forked_from") {
		return
	}
	if from, ok := jsonID(lastMember([]byte(metadata), "forked_from_thread_id")); ok && from != s.ID {
		s.Parent = from
	}
}

// mainIsNone takes the thread that has the id of the session for the main one.
func (s *Session) mainIsNone() {
	if s.Thread == s.ID {
		s.Thread = ""
	}
	if s.Thread == "" || s.ParentThread == s.ID {
		s.ParentThread = ""
	}
}

// keyOfFork returns the thread that a Codex fork or reviewer puts into its
// prompt_cache_key behind a prefix, "<source>:<thread>" or "guardian:<thread>".
// See openai/codex#44862.
func keyOfFork(id string) string {
	if i := strings.LastIndexByte(id, ':'); i >= 0 && isUUID(id[i+1:]) {
		return id[i+1:]
	}
	return ""
}
