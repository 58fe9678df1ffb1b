package extract

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// stateSource is the Source of sessions that are known by state on the server.
const stateSource = "state"

// State returns an Extractor for requests that say which conversation they
// continue by nothing but state on their upstream: previous_response_id and
// the others of [Request.Pins]. The ID is that of the state, and another at
// every turn: a Selector has to be told (Selection.Learn of package affinity) which
// target has it. The Source is "state".
func State() Extractor {
	return ExtractorFunc(func(r *Request) (Session, bool) {
		if len(r.Body) > 0 {
			for _, f := range pointerFields {
				if id, ok := jsonID(r.pointer(f)); ok {
					return r.named(stateSource, id, Explicit), true
				}
			}
		}
		if id, ok := pathState(r.Path); ok {
			return r.named(stateSource, id, Explicit), true
		}
		return Session{}, false
	})
}

// pointerFields name what the request goes on from.
var pointerFields = []field{
	previousResponseIDField,
	previousInteractionIDField,
	threadPreviousMessageIDField,
}

// pointer returns the text of one of the pointerFields, or nil. The message of a
// thread is one only where the thread continues.
func (r *Request) pointer(f field) []byte {
	if f == threadPreviousMessageIDField && !r.continuesThread() {
		return nil
	}
	return r.get(f)
}

func (r *Request) continuesThread() bool {
	kind, _ := text(r.get(threadTypeField))
	return kind == "continue"
}

// resourceFields name what the request makes use of beside.
var resourceFields = []field{
	conversationField,
	conversationInnerIDField,
	cachedContentField,
	cachedContentSnakeField,
	requestCachedContentField,
	containerField,
	containerInnerIDField,
}

// maxPins bounds what Pins returns.
const maxPins = 16

// Pins returns the ids of state on the upstream that the request refers to, at
// most 16 of them. Such a request fails on any other upstream. They are, in
// this order:
//
//   - previous_response_id, previous_interaction_id and, where thread continues,
//     thread.previous_message_id;
//   - conversation, cachedContent and container, also those of tools, the
//     vector_store_ids of tools, and the input_file_id of a batch;
//   - the response in the path of GET /v1/responses/{id} and its like: conversations,
//     threads and sessions of agents, batches, containers, vector stores, files and
//     cached contents;
//   - file_id, fileUri and items of type item_reference in the messages, but for
//     what tools were called with and have answered. A fileUri that leads to a
//     file of the Gemini API becomes the name of that file, files/...; others can
//     be read from anywhere.
//
// It reads the body.
func (r *Request) Pins() []string {
	var pins []string
	add := func(id string, ok bool) (more bool) {
		if ok && len(pins) < maxPins && !slices.Contains(pins, id) {
			pins = append(pins, id)
		}
		return len(pins) < maxPins
	}
	if len(r.Body) > 0 {
		for _, f := range pointerFields {
			add(jsonID(r.pointer(f)))
		}
		for _, f := range resourceFields {
			add(jsonID(r.get(f)))
		}
		c := jsonscan.New(r.get(toolsField))
		for ok := c.Array(); ok && c.Element(); {
			tool := c.Skim()
			ok = add(jsonID(lastMember(tool, "container")))
			stores := jsonscan.New(lastMember(tool, "vector_store_ids"))
			for more := ok && stores.Array(); more && stores.Element(); {
				more = add(jsonID(stores.Skim()))
			}
		}
		add(jsonID(r.member("input_file_id")))
	}
	add(pathState(r.Path))
	if len(r.Body) > 0 {
		for _, f := range messageFields {
			if raw := r.list(f); mentionsState(raw) {
				c := jsonscan.New(raw)
				references(&c, add)
			}
		}
	}
	return pins
}

// mentionsState saves most requests the walk through their messages.
func mentionsState(raw []byte) bool {
	return mentions(raw, 3, `"file_id`, `"fileUri`, `"file_uri`) || mentions(raw, 4, `"item_reference`)
}

// references calls add for what the next value refers to on the upstream, until add
// returns false, and then does so itself. What tools were called with, and what they have
// answered, is theirs.
func references(c *jsonscan.Cursor, add func(string, bool) bool) (more bool) {
	more = true
	switch c.Kind() {
	case '[':
		for ok := c.Array(); ok && more && c.Element(); {
			more = references(c, add)
		}
	case '{':
		var kind, id []byte
		var room nameRoom
		c.Object()
		for more {
			name, ok := c.Key()
			if !ok {
				break
			}
			switch string(room.read(name)) {
			case "file_id":
				more = add(jsonID(c.Skim()))
			case "fileUri", "file_uri":
				more = add(fileName(c.Skim()))
			case "input", "args", "arguments", "response", "json":
				c.Skim()
			case "type":
				kind = c.Skim()
			case "id":
				id = c.Skim()
			default:
				more = references(c, add)
			}
		}
		if more && string(kind) == `"item_reference"` {
			more = add(jsonID(id))
		}
	default:
		c.Skim()
	}
	return more
}

// fileName returns the name of the file that the URI in raw leads to, if it is one
// of the Gemini API: https://ai.google.dev/api/files.
func fileName(raw []byte) (string, bool) {
	uri, ok := text(raw)
	i := strings.LastIndex(uri, "files/")
	if !ok || i < 0 || i > 0 && !strings.HasPrefix(uri, "https://generativelanguage.googleapis.com/") {
		return "", false
	}
	name, _, _ := strings.Cut(uri[i:], "?")
	return ID(name)
}

// pathState returns the id in a path such as /v1/responses/resp_1/cancel.
func pathState(path string) (string, bool) {
	for version := ""; ; {
		kind, rest, ok := strings.Cut(path, "/")
		if !ok {
			return "", false
		}
		id, _, _ := strings.Cut(rest, "/")
		switch kind {
		case "responses", "conversations", "interactions":
			ok = strings.Contains(id, "_") && id != "input_tokens" // nor compact
		case "threads": // OpenAI's assistants
			ok = strings.HasPrefix(id, "thread_")
		case "sessions": // Claude's managed agents
			ok = strings.HasPrefix(id, "sesn_")
		case "batches":
			ok = strings.HasPrefix(id, "batch_") || strings.HasPrefix(id, "msgbatch_")
		case "containers":
			ok = strings.HasPrefix(id, "cntr_") || strings.HasPrefix(id, "container_")
		case "vector_stores":
			ok = strings.HasPrefix(id, "vs_")
		case "files", "cachedContents":
			if ok = id != "" && version == "v1beta"; ok { // Gemini, with a verb behind a colon
				id, _, _ = strings.Cut(kind+"/"+id, ":")
			} else {
				ok = strings.HasPrefix(id, "file-") || strings.HasPrefix(id, "file_")
			}
		default:
			ok = false
		}
		if ok {
			return ID(id)
		}
		version, path = kind, rest
	}
}

// A StateReader finds the ids of state in a response while it passes by: the
// answer of an upstream as JSON or as a stream of events. Write it what the
// client is sent, in pieces of any size; it delays nothing and keeps no more
// than one id.
//
// It knows, as the values of members named id, container_id, thread_id or conversation_id:
// resp_..., conv_... and thread_... (OpenAI), conv_... of Mistral, v1_... (Google's
// interactions), sesn_... (Claude's managed agents), the ids of
// containers, files, batches and vector stores, and of items that OpenAI's
// item_reference takes; and, as those of members named name, cachedContents/... and
// files/... (Gemini). It does not decompress. A StateReader is for one response; it is
// not safe for concurrent use.
type StateReader struct {
	found func(id string)

	inString, escaped, long bool
	value                   bool // the string stands behind a colon
	colon                   bool
	buf                     []byte
	key                     [16]byte
	keyLen                  int
	last                    string
	n                       int
}

// NewStateReader returns a StateReader that calls found for every id, once in a
// row, and for at most 64 of them.
func NewStateReader(found func(id string)) *StateReader {
	return &StateReader{found: found, buf: make([]byte, 0, MaxID)}
}

const maxStates = 64

// Write takes the next piece of the response. It always returns len(p), nil.
func (s *StateReader) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && s.n < maxStates {
		if s.inString {
			p = s.text(p)
			continue
		}
		i := bytes.IndexByte(p, '"')
		between := p
		if i >= 0 {
			between = p[:i]
		}
		if t := bytes.TrimRight(between, " \t\r\n"); len(t) > 0 {
			s.colon = t[len(t)-1] == ':'
		}
		if i < 0 {
			break
		}
		s.inString, s.value, s.colon = true, s.colon, false
		s.buf, s.long = s.buf[:0], false
		p = p[i+1:]
	}
	return n, nil
}

// text takes what belongs to the string, and returns the rest of p.
func (s *StateReader) text(p []byte) []byte {
	if s.escaped {
		s.escaped = false
		if p[0] != '/' || len(s.buf) == MaxID {
			s.long = true // no id has another escape
		} else {
			s.buf = append(s.buf, '/')
		}
		return p[1:]
	}
	i := bytes.IndexAny(p, `"\`)
	part := p
	if i >= 0 {
		part = p[:i]
	}
	if s.long = s.long || len(s.buf)+len(part) > MaxID; !s.long {
		s.buf = append(s.buf, part...)
	}
	switch {
	case i < 0:
		return nil
	case p[i] == '\\':
		s.escaped = true
	default:
		s.inString = false
		s.end()
	}
	return p[i+1:]
}

// end has read a string to its end.
func (s *StateReader) end() {
	if !s.value {
		s.keyLen = 0
		if !s.long && len(s.buf) <= len(s.key) {
			s.keyLen = copy(s.key[:], s.buf)
		}
		return
	}
	prefixes := statePrefixes
	switch string(s.key[:s.keyLen]) {
	case "id", "container_id", "thread_id", "conversation_id":
	case "name":
		prefixes = stateNames
	default:
		return
	}
	if s.long || !begins(s.buf, prefixes) || string(s.buf) == s.last {
		return
	}
	if id, ok := ID(string(s.buf)); ok {
		s.last = id
		s.n++
		s.found(id)
	}
}

// statePrefixes are how ids of state begin, and stateNames how names of it do.
// Other names are those of tools.
var (
	statePrefixes = []string{
		"resp_", "conv_", "thread_", "v1_", "sesn_", "container_", "cntr_", "file-", "file_", "batch_", "msgbatch_", "vs_",
		"msg_", "rs_", "fc_", "ctc_", "ws_", "fs_", "ci_", "ig_", "cu_", "mcp_", "mcpl_", "mcpr_", "cmp_",
	}
	stateNames = []string{"cachedContents/", "files/"}
)

// begins reports whether b begins with one of the prefixes and goes on.
func begins(b []byte, prefixes []string) bool {
	for _, p := range prefixes {
		if len(b) > len(p) && string(b[:len(p)]) == p {
			return true
		}
	}
	return false
}
