package extract

import (
	"cmp"
	"strings"
)

// A Session is a conversation as an [Extractor] names it.
//
// Within one [Request.Scope], two requests belong to one session if Source and
// ID are equal. IDs are the client's own words or digests of them: treat them
// as secrets. A Selector keeps keyed hashes of them only.
//
// Source and ID make a good Session. The other fields are for extractors that
// know more.
type Session struct {
	// Source says where the ID comes from, such as "x-session-id" or "trail".
	// It is part of the session's identity, so equal IDs of different
	// sources never meet, and it is safe to log. The number of built-in sources is
	// fixed, except that a header of the form ...-Session-Id or the like gives its own
	// name: up to 64 letters, digits and hyphens of the client's choice.
	Source string

	// ID names the conversation.
	ID string

	// Confidence says how far ID can be trusted to name one conversation.
	Confidence Confidence

	// Class is the class of the request as far as method, path and headers tell. If
	// a header names the session, only the headers of the client that sends it are
	// looked at; if client_metadata does, what Codex says there counts as well. If an
	// Extractor of yours leaves it at Turn, a Chain fills it in. Request.Class looks at
	// all headers, and at the body.
	Class Class

	incomplete bool // Parent, and a Class that follows from it, are left to Request.Complete

	// Thread names a line of work of its own within the session, such as a
	// sub-agent: it has the session's identity, but another prompt. Empty
	// for the main one.
	Thread string

	// ParentThread is the thread of this session that started Thread. Empty
	// if the main one did.
	ParentThread string

	// Parent is the ID, of the same Source, of another session that started
	// this one. Empty if none did.
	Parent string

	// Continues lists IDs under which earlier requests of this very
	// conversation may be known, the best first. A session without a binding
	// takes over the first one found: its target and its identity.
	Continues []string

	// Near lists IDs of conversations whose target is a good place for this
	// one to start at, the best first. The first one found counts, for its target only.
	Near []string

	// Aliases are further IDs to store the binding under, for later requests
	// to find by their Continues and Near.
	Aliases []string
}

// Confidence says how a session became known.
type Confidence uint8

const (
	// Explicit: the client says which conversation it is.
	Explicit Confidence = iota

	// Conventional: the client sends something that names the conversation by
	// custom only. Some applications send one prompt_cache_key in all their
	// conversations, and a metadata.user_id is a user more often than not.
	Conventional

	// Derived: worked out from the messages. Two conversations that begin
	// alike are one until they part.
	Derived
)

// String returns the confidence in lower case.
func (c Confidence) String() string {
	switch c {
	case Explicit:
		return "explicit"
	case Conventional:
		return "conventional"
	case Derived:
		return "derived"
	}
	return "<unknown extract.Confidence>"
}

// MarshalText implements [encoding.TextMarshaler] by String.
func (c Confidence) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// parentHeader holds the id of the session that started this one, in requests of OpenCode
// and Kilo Code.
const parentHeader = "X-Parent-Session-Id"

// named returns the session of that source and id, which do not come from a header, with all
// that method, path and headers say about it.
func (r *Request) named(source, id string, c Confidence) (s Session) {
	r.name(&s, source, id, c)
	return s
}

// name is like named, but fills in a Session that the caller has. Fields that it does not set
// stay as they are.
func (r *Request) name(s *Session, source, id string, c Confidence) {
	r.checkSpelling()
	r.nameByHeader(s, source, id, c)
	r.Complete(s)
	if s.Class == Turn {
		s.Class = r.headerClass()
	}
}

// nameByHeader is name for an id that comes from a header. To save time it looks only at other
// headers of the client that sends this one, does not call checkSpelling, and leaves some
// headers to Complete.
func (r *Request) nameByHeader(s *Session, source, id string, c Confidence) {
	s.Source, s.ID, s.Confidence, s.incomplete = source, id, c, true
	s.Class = r.pathClass()
	switch s.Source {
	case claudeSource:
		// Sub-agents send the first header, and nested ones the second as well.
		if s.Thread = r.header("X-Claude-Code-Agent-Id"); s.Thread != "" {
			s.ParentThread = r.header("X-Claude-Code-Parent-Agent-Id")
		}
		s.Class = cmp.Or(s.Class, r.claudeClass(s.Thread))
	case "session-id", "thread-id", "prompt_cache_key", "client_metadata.session_id":
		subagent := r.header("X-Openai-Subagent")
		s.setCodexThread(r.header("Thread-Id"), subagent, r.header("X-Codex-Parent-Thread-Id"))
		s.Class = cmp.Or(s.Class, codexClass(subagent, r.turnMetadata()))
		if s.Source == "prompt_cache_key" {
			s.Parent = forkedThread(s.ID)
		}
	case "x-grok-session-id", "x-grok-conv-id":
		s.Class = cmp.Or(s.Class, r.grokClass())
	case "x-deepseek-harness-session-id":
		s.Class = cmp.Or(s.Class, r.harnessClass())
	case "x-client-session-id":
		// Copilot CLI says whether a sub-agent sends the request, but not which one.
		s.Class = cmp.Or(s.Class, r.copilotClass())
		if s.Class == Subagent {
			s.Thread = "subagent"
		}
	case "x-openclaw-session-key":
		s.Thread = r.header("X-Openclaw-Agent-Id")
	}
}

// Complete looks up in r what [Chain.Find] has left out of s. If nothing was left out, it does
// nothing.
func (r *Request) Complete(s *Session) {
	if !s.incomplete {
		return
	}
	s.incomplete = false
	switch s.Source {
	case "x-session-id", "x-session-affinity", "x-opencode-session":
		// OpenCode, Kilo Code: a sub-agent has a session of its own.
		s.Parent = r.header(parentHeader)
		if s.Class == Turn && s.Parent != "" {
			s.Class = Subagent
		}
	case "session-id", "thread-id": // Codex
		s.setForkParent(r.turnMetadata())
	case "x-conversation-id": // CodeBuddy
		s.Parent = r.header("X-Parent-Conversation-Id")
	case "x-kilocode-taskid": // to Kilo Code's own gateway; see its request.ts
		s.Parent = r.header("X-Kilocode-Parent-Taskid")
	case "x-affinity": // Mistral Vibe, which begins a session where it forks, compacts or starts a sub-agent
		s.Parent, _ = jsonID(lastMember(r.memberEarly("metadata"), "parent_session_id"))
	case "x-dynamo-session-id":
		s.Parent = r.header("X-Dynamo-Parent-Session-Id")
	}
	if s.Parent == s.ID {
		s.Parent = ""
	}
}

// nameByMetadata adds to a session of Codex what metadata, the body's client_metadata, says
// about it. Codex sends the same in headers, but proxies drop these. See its
// responses_metadata.rs.
func (s *Session) nameByMetadata(metadata []byte) {
	if s.Thread == "" {
		thread, _ := jsonID(lastMember(metadata, "thread_id"))
		subagent, _ := jsonID(lastMember(metadata, "x-openai-subagent"))
		parent, _ := jsonID(lastMember(metadata, "x-codex-parent-thread-id"))
		s.setCodexThread(thread, subagent, parent)
	}
	if s.Class == Turn {
		s.Class = bodyCodexClass(metadata)
	}
	s.setForkParent(unquote(lastMember(metadata, "x-codex-turn-metadata")))
}

// turnMetadata returns what Codex says about the turn in a header, a JSON object, or "".
func (r *Request) turnMetadata() string {
	if v := r.values("X-Codex-Turn-Metadata"); len(v) > 0 && alike(v) {
		return v[0]
	}
	return ""
}

// setForkParent sets Parent to the session that a session of Codex was forked from, which
// begins alike, if the metadata of the turn (a JSON object) names one. A sub-agent
// (Thread) has no parent: it is in the session that it was started in.
func (s *Session) setForkParent(metadata string) {
	if s.Thread != "" || len(metadata) >= maxRaw || !strings.Contains(metadata, "forked_from") {
		return
	}
	if from, ok := jsonID(lastMember([]byte(metadata), "forked_from_thread_id")); ok && from != s.ID {
		s.Parent = from
	}
}

// setCodexThread sets Thread and ParentThread to what Codex says: the id of the thread or, if that
// is lost, the kind of sub-agent. The main thread has the id of the session, and is the empty one.
func (s *Session) setCodexThread(thread, subagent, parent string) {
	s.Thread, s.ParentThread = cmp.Or(thread, subagent), parent
	if s.Thread == s.ID {
		s.Thread = ""
	}
	if s.Thread == "" || s.ParentThread == s.ID {
		s.ParentThread = ""
	}
}

// forkedThread returns the thread that a prompt_cache_key of a fork or reviewer of Codex
// names after a prefix, "<source>:<thread>" or "guardian:<thread>", or "". See
// openai/codex#44862.
func forkedThread(key string) string {
	if i := strings.LastIndexByte(key, ':'); i >= 0 && isUUID(key[i+1:]) {
		thread, _ := ID(key[i+1:])
		return thread
	}
	return ""
}
