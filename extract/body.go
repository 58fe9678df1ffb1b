package extract

import (
	"strings"

	"github.com/tidwall/gjson"
)

// Body returns an Extractor of the session ids at the given paths of the JSON
// body, asked in that order. The Source of a session is "body:" and the path.
//
// A path is one of package gjson: member names with dots between them, such as
// "metadata.thread_id", and more (https://github.com/tidwall/gjson/blob/master/SYNTAX.md).
// Only a string that is an [ID] counts. However many of them a chain has, the
// body is walked once for all built-in extractors and all top-level members;
// below these, each path is looked up by itself.
func Body(paths ...string) Extractor {
	ps := make([]bodyPath, len(paths))
	for i, p := range paths {
		ps[i] = newBodyPath(p)
	}
	return ExtractorFunc(func(r *Request) (Session, bool) {
		if len(r.Body) == 0 || !r.read().ok {
			return Session{}, false
		}
		for _, p := range ps {
			if id, ok := jsonID(p.in(r)); ok {
				return Session{Source: p.source, ID: id}, true
			}
		}
		return Session{}, false
	})
}

// bodyPath is a path, cut behind the name of a top-level member if it starts
// with one.
type bodyPath struct {
	source     string
	name, rest string
}

func newBodyPath(path string) bodyPath {
	p := bodyPath{source: "body:" + path, rest: path}
	name, rest, _ := strings.Cut(path, ".")
	if !strings.ContainsAny(name, `\*?|#@!{}[]()`) {
		p.name, p.rest = name, rest
	}
	return p
}

// in returns the text of the value that p leads to, or nil.
func (p bodyPath) in(r *Request) []byte {
	object := r.Body
	if p.name != "" {
		object = r.member(p.name)
		if p.rest == "" || object == nil {
			return object
		}
	}
	// gjson takes well-formed text only. The index has seen to it.
	if v := gjson.GetBytes(object, p.rest); v.Type == gjson.String {
		return []byte(v.Raw)
	}
	return nil
}

// BodyIDs returns an Extractor of the session ids in the bodies of known
// clients and APIs: those of the table in the package documentation, in its
// order. prompt_cache_key comes last, since some applications send the same
// one in all conversations.
func BodyIDs() Extractor { return bodyIDs }

var bodyIDs = fieldIDs{
	{"conversation_id", conversationIDField},
	{"conversation_id", conversationIDCamelField},
	{"conversation", conversationField},
	{"conversation", conversationInnerIDField},
	{"session_id", sessionIDField},
	{"session_id", sessionIDCamelField},
	{"client_metadata.session_id", clientMetadataSessionIDField},
	{"request.session_id", requestSessionIDField},
	{"request.session_id", requestSessionIDCamelField},
	{"metadata.session_id", metadataSessionIDField},
	{"metadata.session_id", metadataSessionIDCamelField},
	{"metadata.conversation_id", metadataConversationIDField},
	{"metadata.cursorConversationId", metadataCursorConversationIDField},
	{"unbound_metadata.taskId", unboundMetadataTaskIDField},
	{"litellm_session_id", litellmSessionIDField},
	{"prompt_cache_key", promptCacheKeyField},
}

// fieldIDs is an Extractor of ids in fields of the index.
type fieldIDs []struct {
	source string
	field  field
}

// Extract implements Extractor.
func (fs fieldIDs) Extract(r *Request) (Session, bool) {
	if len(r.Body) == 0 {
		return Session{}, false
	}
	x := r.read()
	for _, f := range fs {
		if raw := x.fields[f.field]; raw != nil {
			if id, ok := jsonID(raw); ok {
				return Session{Source: f.source, ID: id}, true
			}
		}
	}
	return Session{}, false
}

// UserID returns an Extractor of the body's metadata.user_id, as it is. Its
// Source is "metadata.user_id".
//
// Anthropic's documentation has it name an end user, so all conversations of a
// user go to one target: ask it after whatever names a conversation. Some
// clients (kimi-cli) put the id of the conversation there. What Claude Code
// sends is left to [ClaudeUserID], also where it has no usable session id: it
// would name an installation.
func UserID() Extractor {
	return ExtractorFunc(func(r *Request) (Session, bool) {
		s, ok := text(r.get(metadataUserIDField))
		if !ok {
			return Session{}, false
		}
		if _, claude := claudeSession(s); claude {
			return Session{}, false
		}
		id, ok := ID(s)
		if !ok {
			return Session{}, false
		}
		return Session{Source: "metadata.user_id", ID: id}, true
	})
}
