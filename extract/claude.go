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

// claudeHeader is the header in which Claude Code names the session.
const claudeHeader = "X-Claude-Code-Session-Id"

// ClaudeCode returns an Extractor of the session ids of Claude Code and the
// Claude Agent SDK: the header X-Claude-Code-Session-Id (since 2.1.86), then
// what [ClaudeUserID] finds in the body. The Source is "claude-code".
// Sub-agents, title calls and other side calls carry the id of their session.
//
// The body is looked at only in requests that speak Anthropic's protocol: their path
// ends in /messages, or it ends in neither /completions nor /responses and they have the
// header Anthropic-Version, in canonical form. (The extractor mostly stands first in a
// chain, and requests that another header names should not pay for a look at the body.)
//
// If a request of that protocol has a header that [Headers] knows, user does not count, and
// metadata.user_id only if a quick look finds it, whose cost does not grow with the body. Its
// name must be written without escapes and, in a body of more than 4 kB, metadata must stand
// within the first or the last kilobyte, where clients put it.
//
// See https://code.claude.com/docs/en/llm-gateway-protocol.
func ClaudeCode() Extractor { return claudeCode{} }

type claudeCode struct{}

// claudeHeaders finds claudeHeader, in any spelling.
var claudeHeaders = newHeaders([]string{claudeHeader}, false)

// Extract implements Extractor.
func (e claudeCode) Extract(r *Request) (s Session, ok bool) {
	ok = e.find(r, &s)
	r.Complete(&s)
	return s, ok
}

// find is Extract for Chain.Find, and leaves to Complete what Chain.Find leaves to it. s
// must be the zero Session, and stays so if find returns false.
func (claudeCode) find(r *Request, s *Session) (ok bool) {
	if claudeHeaders.find(r, s) {
		return true
	}
	if len(r.Body) == 0 || !r.anthropic() {
		return false
	}
	if knownHeaders.find(r, s) {
		*s, ok = claudeFrom(r, r.plainUserID())
		return ok
	}
	*s, ok = ClaudeUserID().Extract(r)
	return ok
}

// findWithHeaders is find for a Chain in which Headers comes right after this one, and
// does the work of both, so that the headers are searched once: claudeHeader is the
// first in the list of Headers. after has the extractors that follow Headers in the Chain. If
// ClaudeUserID is the first of these, it is left to the Chain to ask that.
func (claudeCode) findWithHeaders(r *Request, s *Session, after Chain) (ok bool) {
	named := knownHeaders.find(r, s)
	if s.Source == claudeSource || len(r.Body) == 0 || !r.anthropic() {
		return named
	}
	if named {
		if claude, ok := claudeFrom(r, r.plainUserID()); ok {
			*s = claude
		}
		return true
	}
	if len(after) == 0 || after[0] != ClaudeUserID() {
		*s, ok = ClaudeUserID().Extract(r)
	}
	return ok
}

// plainUserID returns the text of metadata.user_id if a quick look finds it, or nil.
// Its name must be written without escapes and, in a body of more than strictSize bytes,
// metadata must be at an end. The cost does not grow with the body.
func (r *Request) plainUserID() []byte {
	const userIDName = `"user_id"`
	b := r.Body
	if len(b) > strictSize {
		if mentions(b[:window], 5, userIDName) || mentions(b[len(b)-window:], 5, userIDName) {
			// Do not use the index: the answer must not depend on how much of the body was read.
			metadata, _ := memberAtEnds(b, "metadata")
			return lastMember(metadata, "user_id")
		}
	} else if mentions(b, 5, userIDName) {
		return r.get(metadataUserIDField)
	}
	return nil
}

// anthropic reports whether the request speaks Anthropic's protocol: by the end of its path
// or, if that does not tell, by a header.
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
// the body's metadata.user_id or, behind a proxy that translates its requests for OpenAI's
// API, in user. The Source is "claude-code". Two forms are known, and nothing else counts as
// one:
//
//   - user_{hash}_account_{uuid}_session_{uuid}, before 2.1.78; the account may be
//     empty. The hash may be of any length but 0.
//   - the text of a JSON object with a string session_id, since then. Other clients
//     send it as well; their ids need not be uuids.
func ClaudeUserID() Extractor { return claudeUserID{} }

type claudeUserID struct{}

// Extract implements Extractor.
func (claudeUserID) Extract(r *Request) (s Session, ok bool) {
	if s, ok = claudeFrom(r, lastMember(r.memberEarly("metadata"), "user_id")); !ok {
		s, ok = claudeFrom(r, r.get(userField))
	}
	return s, ok
}

// find is Extract for Chain.Find. after has the extractors that follow in the Chain. If
// BodyIDs is the next, find asks a large body for the fields of both at once, and may
// return a session of BodyIDs.
func (e claudeUserID) find(r *Request, after Chain) (s Session, ok bool) {
	if len(after) == 0 || after[0] != BodyIDs() {
		return e.Extract(r)
	}
	if s, ok = r.conversation(after[1:]); ok {
		return s, true
	}
	for _, f := range claudeFields {
		if s, ok = claudeFrom(r, r.get(f)); ok {
			break
		}
	}
	return s, ok
}

// claudeFields are where ClaudeUserID looks, in that order.
var claudeFields = [...]field{metadataUserIDField, userField}

// claudeFrom returns the session that a metadata.user_id names, given the text of that
// value, or false if Claude Code has not put a usable id there.
func claudeFrom(r *Request, raw []byte) (s Session, ok bool) {
	if len(raw) == 0 {
		return s, false // early, since clearing room takes time
	}
	var room idRoom
	id, _ := claudeID(unquoteIn(raw, &room))
	if id == "" {
		return s, false
	}
	return r.named(claudeSource, id, Explicit), true
}

// claudeID returns the session id in a metadata.user_id, and whether that has one of Claude
// Code's forms. Even then, there may be no usable id: id is "".
func claudeID(user []byte) (id string, claude bool) {
	user = bytes.TrimSpace(user)
	var session []byte
	if bytes.HasPrefix(user, []byte("{")) {
		var room idRoom
		session, claude = claudeIDInJSON(user, &room)
	} else {
		session, claude = claudeIDInText(user)
	}
	id, _ = ID(string(session))
	return id, claude
}

// claudeIDInText is claudeID for user_{hash}_account_{uuid}_session_{uuid}. The id is not
// yet checked.
func claudeIDInText(user []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(user, []byte("user_"))
	if !ok {
		return nil, false
	}
	hash, rest, _ := bytes.Cut(rest, []byte("_account_"))
	if len(hash) == 0 || !isAlphanumeric(hash) {
		return nil, false
	}
	account, session, ok := bytes.Cut(rest, []byte("_session_"))
	if !ok || len(account) > 0 && !isUUID(account) {
		return nil, false
	}
	if !isUUID(session) { // if there is no session, this is empty or a placeholder
		return nil, len(session) == 0 || isPlaceholder(string(session))
	}
	return session, true
}

// isAlphanumeric reports whether s has only ASCII letters and digits.
func isAlphanumeric(s []byte) bool {
	for _, c := range s {
		if c|0x20 < 'a' && (c < '0' || c > '9') || c|0x20 > 'z' {
			return false
		}
	}
	return true
}

// claudeIDInJSON is claudeID for a JSON object, whose session_id it returns, not yet
// checked. Every JSON object counts as Claude Code's form: without a session_id it names
// only a device and an account.
func claudeIDInJSON(user []byte, room *idRoom) ([]byte, bool) {
	c := jsonscan.New(user)
	c.Object()
	var session []byte
	var name nameRoom
	for {
		key, ok := c.Key()
		if !ok {
			break
		}
		if value := c.Skip(); name.is(key, "session_id") {
			session = value
		}
	}
	if !c.End() {
		return nil, false
	}
	return unquoteIn(session, room), true
}
