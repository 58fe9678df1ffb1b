package extract

import (
	"strings"

	"github.com/tidwall/gjson"
)

// Body returns an Extractor of the session ids at the given paths of the JSON body, asked
// in that order. The Source of a session is "body:" followed by the path, and its Confidence
// is Explicit.
//
// A path is one of package gjson: member names with dots between them, such as
// "metadata.thread_id", and more (https://github.com/tidwall/gjson/blob/master/SYNTAX.md):
// "a\.b" is one name, "meta.blob.@fromstr.sid" looks into a string that holds JSON. Only
// a string that is an [ID] counts; "ticket.@tostr" makes one of a number. Of several
// members of one name the last counts, but from the first index or special character of a
// path on, the first.
//
// One walk of the body serves all built-in extractors and all paths, however many a chain
// has. After it, each path with a dot searches the object that its first name leads to, and
// finds nothing in one of 4,096 members or more. If the body has more than 64 members that
// no built-in extractor knows, each path searches the body, too.
func Body(paths ...string) Extractor {
	ps := make([]bodyPath, len(paths))
	for i, p := range paths {
		ps[i] = newBodyPath(p)
	}
	return ExtractorFunc(func(r *Request) (Session, bool) {
		for i, p := range ps {
			if id, ok := jsonID(p.in(r, i == 0)); ok {
				return r.named(p.source, id, Explicit), true
			}
		}
		return Session{}, false
	})
}

// A bodyPath is a path, cut into the plain names that it begins with, which are looked up
// in the index, and the rest, which only gjson understands.
type bodyPath struct {
	source string
	names  []pathName
	query  string // the rest; "" if there is none
}

type pathName struct {
	name string
	from string // the path from this name on, for gjson
}

func newBodyPath(path string) bodyPath {
	p := bodyPath{source: "body:" + path, query: path}
	for p.query != "" {
		name, rest, _ := strings.Cut(p.query, ".")
		if name == "" || strings.ContainsAny(name, `\*?|#@!{}[]()`) {
			break
		}
		p.names, p.query = append(p.names, pathName{name, p.query}), rest
	}
	return p
}

// in returns the text of the value that p leads to, or nil. early says that nothing else was
// asked for before: see memberEarly.
func (p bodyPath) in(r *Request, early bool) (value []byte) {
	if len(p.names) == 0 {
		if p.query == "" || !r.read() {
			return nil
		}
		return query(r.Body, p.query)
	}
	if early {
		value = r.memberEarly(p.names[0].name)
	} else {
		value = r.member(p.names[0].name)
	}
	if value == nil && r.read() && r.index.tooManyOthers {
		value = lastMember(r.Body, p.names[0].name)
	}
	for _, n := range p.names[1:] {
		if value == nil {
			return nil
		}
		switch value[0] {
		case '{':
			value = lastMember(value, n.name)
		case '[':
			return query(value, n.from) // the name is an index
		default:
			return nil
		}
	}
	if p.query == "" {
		return value
	}
	return query(value, p.query)
}

// query returns the text of the value that gjson finds in a JSON value, or nil.
func query(json []byte, path string) []byte {
	// gjson needs well-formed text, and the index has only skimmed this.
	if !gjson.ValidBytes(json) {
		return nil
	}
	return []byte(gjson.GetBytes(json, path).Raw)
}

// BodyIDs returns an Extractor of the session ids in the bodies of known
// clients and APIs: those of the table in the package documentation, in its order. The
// Source is a name from the table, the same for all spellings of a name. All are Explicit
// but prompt_cache_key, which comes last and is Conventional, since some applications send
// the same one in all conversations. A key that is known to name something else, such as
// LibreChat's, does not count.
func BodyIDs() Extractor { return &bodyIDs }

// Each line has a row in doc.go, which TestTableOfSignalsIsTrue checks; all tests of ids in
// bodies go by these rows.
var bodyIDs = fieldIDs{
	{"conversation_id", newField("conversation_id"), Explicit},
	{"conversation_id", newField("conversationId"), Explicit},
	{"conversation", conversationField, Explicit},
	{"conversation", conversationInnerIDField, Explicit},
	{"session_id", newField("session_id"), Explicit},
	{"session_id", newField("sessionId"), Explicit},
	{"client_metadata.session_id", clientMetadataSessionIDField, Explicit},
	{"request.session_id", newField("request.session_id"), Explicit},
	{"request.session_id", newField("request.sessionId"), Explicit},
	{"metadata.session_id", newField("metadata.session_id"), Explicit},
	{"metadata.session_id", newField("metadata.sessionId"), Explicit},
	{"metadata.conversation_id", newField("metadata.conversation_id", "conversationId"), Explicit},
	{"metadata.cursorConversationId", newField("metadata.cursorConversationId"), Explicit},
	{"metadata.thread_id", newField("metadata.thread_id", "threadId"), Explicit},
	{"metadata.chat_id", newField("metadata.chat_id", "chatId"), Explicit},
	{"requestMetadata.session_id", newField("requestMetadata.session_id"), Explicit},
	{"requestMetadata.session_id", newField("requestMetadata.sessionId"), Explicit},
	{"unbound_metadata.taskId", newField("unbound_metadata.taskId"), Explicit},
	{"litellm_session_id", newField("litellm_session_id"), Explicit},
	{"litellm_metadata.session_id", newField("litellm_metadata.session_id"), Explicit},
	{"thread_id", newField("thread_id"), Explicit},
	{"thread_id", newField("threadId"), Explicit},
	{"chat_id", newField("chat_id"), Explicit},
	{"chat_id", newField("chatId"), Explicit},
	{"call.id", newField("call.id"), Explicit},
	{"conversationState.conversationId", newField("conversationState.conversationId"), Explicit},
	{"input.session_id", newField("input.session_id"), Explicit},
	{"prompt_cache_key", promptCacheKeyField, Conventional},
}

// fieldIDs is the Extractor behind BodyIDs, of the ids in some fields, asked in that order. The
// first field must be a member of the body whose name is its source.
type fieldIDs []struct {
	source     string
	field      field
	confidence Confidence
}

// bodyIDSet has the fields of BodyIDs, and explicitSet those of them that are Explicit.
var bodyIDSet, explicitSet = func() (all, explicit fieldSet) {
	for _, f := range bodyIDs {
		all |= 1 << f.field
		if f.confidence == Explicit {
			explicit |= 1 << f.field
		}
	}
	return all, explicit
}()

// Extract implements Extractor.
func (fs fieldIDs) Extract(r *Request) (s Session, ok bool) {
	first := fs[0]
	if id, ok := jsonID(r.memberEarly(first.source)); ok {
		return r.named(first.source, id, first.confidence), true
	}
	ok = r.read() && fs.find(r, r.index.present&bodyIDSet, r.get, &s)
	return s, ok
}

// find puts into s the session that the first of the present fields names, and reports whether
// one does. All of present must be in fs. text returns the text of a field.
func (fs fieldIDs) find(r *Request, present fieldSet, text func(field) []byte, s *Session) bool {
	for i := 0; present != 0; i++ {
		f := &fs[i]
		if !present.has(f.field) {
			continue
		}
		present &^= 1 << f.field
		id, ok := jsonID(text(f.field))
		if !ok || f.field == promptCacheKeyField && otherKey(id) {
			continue
		}
		r.name(s, f.source, id, f.confidence)
		if f.field == clientMetadataSessionIDField {
			s.nameByMetadata(text(clientMetadataField))
		}
		return true
	}
	return false
}

// otherKey reports whether a prompt_cache_key is known to stand for something other than a
// conversation: those of LibreChat stand for a system prompt, those of the OpenAI Agents
// SDK, if it is used without a Session, for a single turn, and those of ECA, such as
// "anna@ECA/code", for a person and an agent.
func otherKey(id string) bool {
	person, _, _ := strings.Cut(id, "/")
	return strings.HasPrefix(id, "librechat:") || strings.HasPrefix(id, "agents-sdk:run:") || strings.HasSuffix(person, "@ECA")
}

// UserID returns an Extractor of the body's metadata.user_id, as it is. Its
// Source is "metadata.user_id".
//
// Anthropic's documentation has it name an end user, so all conversations of a user go to
// one target, unless there are very many: ask it after whatever names a conversation.
// kimi-cli and Kimi Code put the id of the conversation there, which is then Explicit (a
// uuid, with the User-Agent KimiCLI/... or behind "session_"); all others are Conventional.
// What Claude Code sends is left to [ClaudeUserID], even if it has no usable session id,
// since it would name an installation.
func UserID() Extractor {
	return ExtractorFunc(func(r *Request) (Session, bool) {
		raw := unquote(r.get(metadataUserIDField))
		if _, claude := claudeID([]byte(raw)); claude {
			return Session{}, false
		}
		id, ok := ID(raw)
		if !ok {
			return Session{}, false
		}
		confidence := Conventional
		r.checkSpelling()
		bare, session := strings.CutPrefix(id, "session_") // Kimi Code, see its core-impl.ts
		if isUUID(bare) && (session || strings.HasPrefix(r.header("User-Agent"), "KimiCLI/")) {
			confidence = Explicit
		}
		return r.named("metadata.user_id", id, confidence), true
	})
}
