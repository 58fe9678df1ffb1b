package extract

import (
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
// The body is looked at only in requests that speak Anthropic's protocol, as
// their Anthropic-Version header or a path that ends in /messages tells:
// standing first in a chain, it must not make requests that another header
// names pay for a look at the body.
//
// See https://code.claude.com/docs/en/llm-gateway-protocol.
func ClaudeCode() Extractor { return claudeCode }

var claudeCode = Chain{newHeaders([]string{claudeHeader}, false), ExtractorFunc(anthropicUserID)}

// claudeFirst is claudeCode for chains in which Headers comes next: that looks
// for the header in other spellings.
var claudeFirst = Chain{
	&headers{names: []headerName{{claudeHeader, claudeSource}}, exact: true},
	ExtractorFunc(anthropicUserID),
}

func anthropicUserID(r *Request) (Session, bool) {
	if len(r.Body) == 0 || len(r.Header["Anthropic-Version"]) == 0 && !strings.HasSuffix(r.Path, "/messages") {
		return Session{}, false
	}
	return claudeUserID(r)
}

// ClaudeUserID returns an Extractor of the session id that Claude Code hides in
// the body's metadata.user_id. The Source is "claude-code". Two forms are
// known, and nothing else is taken for one:
//
//   - user_{hash}_account_{uuid}_session_{uuid}, before 2.1.78; the account is
//     empty without one. The hash may be of any length.
//   - the text of a JSON object with a string session_id, since then. It is
//     sent by other clients as well, and by those the id need not be a uuid.
func ClaudeUserID() Extractor { return ExtractorFunc(claudeUserID) }

func claudeUserID(r *Request) (Session, bool) {
	s, ok := text(r.get(metadataUserIDField))
	if !ok {
		return Session{}, false
	}
	id, _ := claudeSession(s)
	if id == "" {
		return Session{}, false
	}
	return r.describe(Session{Source: claudeSource, ID: id}), true
}

// claudeSession returns the session id in a metadata.user_id of Claude Code, if
// it has a usable one, and whether the form is Claude Code's at all.
func claudeSession(s string) (id string, claude bool) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "{") {
		id, claude = jsonSession(s)
	} else {
		id, claude = legacySession(s)
	}
	id, _ = ID(id)
	return id, claude
}

// legacySession reads user_{hash}_account_{uuid}_session_{uuid}.
func legacySession(s string) (string, bool) {
	rest, ok := strings.CutPrefix(s, "user_")
	if !ok {
		return "", false
	}
	hash, rest, ok := strings.Cut(rest, "_account_")
	if !ok || hash == "" || strings.Trim(hash, alphanumeric) != "" {
		return "", false
	}
	account, session, ok := strings.Cut(rest, "_session_")
	if !ok || account != "" && !isUUID(account) || !isUUID(session) {
		return "", false
	}
	return session, true
}

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// jsonSession reads the session_id of the JSON object in s. Every JSON object
// counts as Claude Code's form: without a session_id it has nothing but the
// names of a device and an account.
func jsonSession(s string) (string, bool) {
	b := []byte(s)
	if c := jsonscan.New(b); c.Skip() == nil || !c.End() {
		return "", false
	}
	id, _ := text(lastMember(b, "session_id"))
	return id, true
}
