package extract

import (
	"bytes"
	"strings"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// claudeSource is the Source of sessions that Claude Code names. Its header
// and its body carry one and the same id, so they are one source: a session
// stays where it is when a proxy on the way drops one of them.
const claudeSource = "claude-code"

const claudeHeader = "X-Claude-Code-Session-Id"

// ClaudeCode returns an Extractor of the session ids of Claude Code and the
// Claude Agent SDK: the header X-Claude-Code-Session-Id (since 2.1.86), then
// metadata.user_id as [ClaudeUserID] reads it. The Source is "claude-code".
// Sub-agents, title calls and other side calls carry the id of their session.
//
// The body is looked at only in requests that speak Anthropic's protocol: their path
// ends in /messages or, if it ends in neither /completions nor /responses, they have the
// header Anthropic-Version, in canonical form. For, first in a chain, it must not make
// requests that another header names pay for a look at the body. Where a request of
// that protocol has a header that [Headers] knows, the user_id counts only if its name is
// written without escapes and, in a body of more than 4 kB, stands within the first or the
// last kilobyte, where clients put it: so what the request pays does not grow with its
// body.
//
// See https://code.claude.com/docs/en/llm-gateway-protocol.
func ClaudeCode() Extractor { return claudeCode{} }

type claudeCode struct{}

var claudeHeaders = newHeaders([]string{claudeHeader}, false)

// Extract implements Extractor.
func (e claudeCode) Extract(r *Request) (s Session, ok bool) {
	ok = e.find(r, &s, nil)
	r.Complete(&s)
	return s, ok
}

// find is Extract for a Chain in which others stand behind this one: s is the zero
// Session, and stays it if there is none.
func (claudeCode) find(r *Request, s *Session, behind Chain) (ok bool) {
	if claudeHeaders.find(r, s) {
		return true
	}
	if len(r.Body) == 0 || !r.anthropic() {
		return false
	}
	r.expect(behind)
	if knownHeaders.find(r, s) {
		*s, ok = claudeNames(r, r.plainUserID())
		return ok
	}
	*s, ok = ClaudeUserID().Extract(r)
	return ok
}

// findWithHeaders is find for a Chain in which Headers comes next, and does the work
// of that as well: Claude Code's header is the first of its own.
func (claudeCode) findWithHeaders(r *Request, s *Session, behind Chain) (ok bool) {
	named := knownHeaders.find(r, s)
	if named && s.Source == claudeSource || len(r.Body) == 0 || !r.anthropic() {
		return named
	}
	r.expect(behind)
	if named {
		if claude, ok := claudeNames(r, r.plainUserID()); ok {
			*s = claude
		}
		return true
	}
	if len(behind) > 1 && behind[0] == ClaudeUserID() && behind[1] == BodyIDs() {
		if other, ok := r.conversation(); ok {
			if other.Source == claudeSource {
				*s = other
			}
			return other.Source == claudeSource
		}
	}
	*s, ok = ClaudeUserID().Extract(r)
	return ok
}

// plainUserID returns the text of metadata.user_id if a quick look finds it: in a
// small body, or at the ends of a large one.
func (r *Request) plainUserID() []byte {
	b := r.Body
	if len(b) > strictly {
		if mentionsUserID(b[:window]) || mentionsUserID(b[len(b)-window:]) {
			metadata, _ := atEnds(b, "metadata") // whether the body has been read or not
			return lastMember(metadata, "user_id")
		}
	} else if mentionsUserID(b) {
		return r.get(metadataUserIDField)
	}
	return nil
}

// mentionsUserID reports whether b has a user_id somewhere. The underscore is the
// byte of it that other texts have least of.
func mentionsUserID(b []byte) bool {
	const before, behind = len("user"), len("_id")
	for at := 0; ; at++ {
		i := bytes.IndexByte(b[at:], '_')
		if i < 0 {
			return false
		}
		at += i
		if at >= before && len(b)-at >= behind && string(b[at-before:at+behind]) == "user_id" {
			return true
		}
	}
}

// anthropic reports whether the request speaks Anthropic's protocol. The paths
// that tell, one way or the other, save a look at the headers.
func (r *Request) anthropic() bool {
	switch {
	case strings.HasSuffix(r.Path, "/messages"):
		return true
	case strings.HasSuffix(r.Path, "/completions"), strings.HasSuffix(r.Path, "/responses"):
		return false
	}
	return len(r.Header["Anthropic-Version"]) > 0
}

// ClaudeUserID returns an Extractor of the session id that Claude Code hides in
// the body's metadata.user_id. The Source is "claude-code". Two forms are
// known, and nothing else is taken for one:
//
//   - user_{hash}_account_{uuid}_session_{uuid}, before 2.1.78; the account is
//     empty without one. The hash may be of any length.
//   - the text of a JSON object with a string session_id, since then. It is
//     sent by other clients as well, and by those the id need not be a uuid.
func ClaudeUserID() Extractor { return claudeUserID{} }

type claudeUserID struct{}

// Extract implements Extractor.
func (claudeUserID) Extract(r *Request) (Session, bool) {
	if len(r.Body) == 0 {
		return Session{}, false
	}
	return claudeNames(r, r.first(metadataUserIDField, "metadata", "user_id"))
}

// find is Extract for a Chain in which other extractors stand behind this one. If
// BodyIDs does, it asks a large body for their ids as well.
func (e claudeUserID) find(r *Request, behind Chain) (Session, bool) {
	if len(behind) == 0 || behind[0] != BodyIDs() {
		return e.Extract(r)
	}
	if s, ok := r.conversation(); ok {
		return s, true
	}
	return claudeNames(r, r.get(metadataUserIDField))
}

// claudeNames returns the session that the text of a metadata.user_id names.
func claudeNames(r *Request, raw []byte) (s Session, ok bool) {
	if len(raw) == 0 {
		return s, false // without room for a text
	}
	var room textRoom
	user, ok := textIn(raw, &room)
	if !ok {
		return s, false
	}
	id, _ := claudeSession(user)
	if id == "" {
		return s, false
	}
	return r.named(claudeSource, id, Explicit), true
}

// claudeSession returns the session id in a metadata.user_id of Claude Code, if
// it has a usable one, and whether the form is Claude Code's at all.
func claudeSession(user []byte) (id string, claude bool) {
	user = bytes.TrimSpace(user)
	var session []byte
	if bytes.HasPrefix(user, []byte("{")) {
		var room textRoom
		session, claude = jsonSession(user, &room)
	} else {
		session, claude = legacySession(user)
	}
	if len(session) == 0 {
		return "", claude
	}
	id, _ = ID(string(session))
	return id, claude
}

// legacySession reads user_{hash}_account_{uuid}_session_{uuid}.
func legacySession(user []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(user, []byte("user_"))
	if !ok {
		return nil, false
	}
	hash, rest, ok := bytes.Cut(rest, []byte("_account_"))
	if !ok || len(hash) == 0 || !isAlphanumeric(hash) {
		return nil, false
	}
	account, session, ok := bytes.Cut(rest, []byte("_session_"))
	if !ok || len(account) > 0 && !isUUID(account) {
		return nil, false
	}
	if !isUUID(session) { // a client that has none may say so
		return nil, len(session) == 0 || isPlaceholder(string(session))
	}
	return session, true
}

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func isAlphanumeric(s []byte) bool {
	for _, c := range s {
		if c|0x20 < 'a' && (c < '0' || c > '9') || c|0x20 > 'z' {
			return false
		}
	}
	return true
}

// jsonSession reads the session_id of the JSON object in user. Every JSON object
// counts as Claude Code's form: without a session_id it has nothing but the
// names of a device and an account.
func jsonSession(user []byte, room *textRoom) ([]byte, bool) {
	c := jsonscan.New(user)
	var session []byte
	var name nameRoom
	for ok := c.Object(); ok; {
		var key []byte
		if key, ok = c.Key(); !ok {
			break
		}
		value := c.Skip()
		if name.is(key, "session_id") {
			session = value
		}
	}
	if !c.End() {
		return nil, false
	}
	id, _ := textIn(session, room)
	return id, true
}
