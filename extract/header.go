package extract

import (
	"cmp"
	"net/textproto"
	"slices"
	"strings"
)

// Header returns an Extractor of the session ids in the HTTP headers of the given names,
// asked in that order. The Source of a session is the name of the header in lower case,
// with hyphens for underscores ("claude-code" for X-Claude-Code-Session-Id), and its
// Confidence is Explicit.
//
// Names, which are ASCII, are matched without regard to case, even in a map that was not
// filled in by net/http; one in canonical form takes precedence over all others. A header
// with several different values names no session, and neither does one whose value is not
// an [ID].
func Header(names ...string) Extractor {
	return newHeaders(names, false)
}

// Headers returns an Extractor of the session headers of known clients and gateways:
// X-Claude-Code-Session-Id and those of the table in the package documentation, in its
// order. After them come headers of other vendors, of the forms ...-Session-Id,
// ...-Conversation-Id, ...-Chat-Id and ...-Thread-Id, unless the name says that they hold
// something else; those with X- in front come first. Such a header costs one allocation,
// for its name. If a request has more than 32 of them, none counts. Sources are as with
// [Header], except that X-Client-Request-Id counts as Thread-Id.
func Headers() Extractor { return knownHeaders }

// knownHeaders is Headers. A name that is added here has a row in doc.go as well, which
// TestTableOfSignalsIsTrue checks; one that must never count goes into notSessions.
var knownHeaders = newHeaders([]string{
	claudeHeader, // first, so that find looks it up; see findWithHeaders in claude.go
	"X-Session-Id",

	"X-Opencode-Session",
	"X-Grok-Session-Id",
	"X-Grok-Conv-Id",
	"X-Amp-Thread-Id",
	"X-Litellm-Session-Id",
	"X-Openwebui-Chat-Id",
	"X-Roo-Task-Id",
	"X-Task-Id",
	"X-Kilocode-Taskid",
	"X-Client-Session-Id",
	"X-Zcode-Session-Id",
	"X-Acp-Session",
	"X-Jcode-Session",
	"X-Polytoken-Session",
	"X-Coder-Chat-Id",
	"X-Mux-Workspace-Id",
	"Chatui-Conversation-Id",
	"Chatbox-Session-Id",
	"X-Http-Session-Id",
	"X-Openclaw-Session-Key",
	"Agent-Session-Id",
	"X-Bf-Session-Id",
	"X-Merge-Thread-Id",
	"X-Smg-Routing-Key",
	"X-Model-Affinity",
	"X-Dynamo-Session-Id",
	"X-Deepseek-Harness-Session-Id",
	"Helicone-Session-Id",
	"X-Aibrix-Session-Key",
	"X-Livekit-Job-Id",
	"Langfuse_session_id",

	"X-Session-Affinity",
	"Session-Id",
	"Session_id",
	"X-Conversation-Id",
	"Conversation-Id",
	"Conversation_id",
	"X-Chat-Id",
	"X-Thread-Id",
	"X-Affinity",
	"Thread-Id",
}, true)

var (
	// notSessions are words that, right before -Session-Id, make it the name of something
	// else: a machine, a login, a browser's visit. (X-User-Conversation-Id, by contrast,
	// names a conversation.)
	notSessions = map[string]bool{
		"remote":    true, // X-Claude-Remote-Session-Id
		"mcp":       true,
		"vscode":    true,
		"window":    true,
		"machine":   true,
		"device":    true,
		"browser":   true,
		"analytics": true,
		"posthog":   true,
		"amplitude": true,
		"rum":       true, // real user monitoring
		"replay":    true,
		"tracking":  true,
		"visit":     true,
		"visitor":   true,
		"telemetry": true,
		"user":      true,
		"auth":      true,
		"login":     true,
		"sso":       true,
		"ssl":       true, // of a proxy's connection, as in X-Forwarded-Ssl-Session-Id
		"tls":       true,
		"request":   true,
		"stainless": true, // what SDKs of OpenAI and Anthropic say of themselves
		"livekit":   true, // one request, since LiveKit Agents of August 2026
		"oai":       true, // a browser's visit to ChatGPT
	}

	// otherSessions are words that, anywhere in a header's name, say that it names another
	// session.
	otherSessions = map[string]bool{"parent": true, "previous": true, "forked": true}
)

// headers is the Extractor behind Header and Headers. TestHeadersLikeTheReference compares
// it with one that asks for one name after the other.
type headers struct {
	names []headerName
	known bool // this is Headers: other vendors' headers count as well, and so does codexThread

	filter   nameFilter           // of all names that may count
	byLength [maxLength + 1][]int // indexes into names, by the length of the name
}

// A headerName is a name in canonical form and the Source of sessions that it names.
type headerName struct{ canonical, source string }

// maxLookups is how many of the names are looked up in the map before search goes through
// all headers of the request: a lookup costs as much as one or two steps of that.
const maxLookups = 2

// newHeaders returns the Extractor of some headers; known says that it is for Headers.
func newHeaders(names []string, known bool) *headers {
	hs := &headers{known: known, filter: newNameFilter(names...)}
	for i, n := range names {
		name := headerName{
			canonical: textproto.CanonicalMIMEHeaderKey(n),
			source:    strings.ReplaceAll(strings.ToLower(n), "_", "-"),
		}
		if name.canonical == claudeHeader {
			name.source = claudeSource
		}
		hs.names = append(hs.names, name)
		length := min(len(n), maxLength)
		hs.byLength[length] = append(hs.byLength[length], i)
	}
	if known {
		for length := range hs.filter {
			hs.filter[length] |= 1 << lastLetter(vendorSuffixes[0]) // all suffixes end alike
		}
	}
	return hs
}

// A nameFilter quickly rules out most headers that are not on a list of names. For each
// length it has a set of the letters, in either case, in which the names of that length end.
// Names longer than maxLength count as that long.
type nameFilter [maxLength + 1]uint32

const maxLength = 63

func newNameFilter(names ...string) (f nameFilter) {
	for _, n := range names {
		if n != "" {
			f[min(len(n), maxLength)] |= 1 << lastLetter(n)
		}
	}
	return f
}

// has reports whether a name, which must not be empty, may be one of the list.
func (f *nameFilter) has(name string) bool {
	return f[min(len(name), maxLength)]>>lastLetter(name)&1 != 0
}

// lastLetter returns a number below 32 that is the same for both cases of the last letter.
func lastLetter(name string) byte { return name[len(name)-1] & 31 }

// Extract implements Extractor.
func (hs *headers) Extract(r *Request) (s Session, ok bool) {
	ok = hs.find(r, &s)
	r.Complete(&s)
	return s, ok
}

// find is Extract for Chain.Find, and leaves to Complete what Chain.Find leaves to it. s
// must be the zero Session, and stays so if find returns false.
func (hs *headers) find(r *Request, s *Session) bool {
	// The first few names: see maxLookups.
	for i := range min(maxLookups, len(hs.names)) {
		n := &hs.names[i]
		if id := commonID(r.Header[n.canonical]); id != "" {
			r.nameByHeader(s, n.source, id, Explicit)
			return true
		}
	}
	if hs.known && r.noSessionHeader.Load() {
		return false
	}
	source, id := hs.search(r)
	if id == "" && hs.known {
		if source, id = "thread-id", r.codexThread(); id == "" {
			r.noSessionHeader.Store(true)
		}
	}
	if id == "" {
		return false
	}
	r.nameByHeader(s, source, id, Explicit)
	return true
}

// codexThread returns the thread of Codex in X-Client-Request-Id, for when a
// proxy has dropped its other headers. In requests of others, such as the SDKs of
// OpenAI and Anthropic, that header names the request.
func (r *Request) codexThread() string {
	r.checkSpelling()
	id := r.header("X-Client-Request-Id")
	if id == "" || !strings.HasPrefix(r.header("Originator"), "codex") && !strings.HasPrefix(r.header("User-Agent"), "codex") {
		return ""
	}
	return id
}

// A candidate is a header that may name the session. Of several, the one of the least rank
// goes first and, among equals, the one whose source comes first in the alphabet.
type candidate struct {
	rank   int
	source string
	values []string
}

// search goes through all headers of the request and returns the source and the id of the
// first that names a session, or "".
//
// Since a map has no order, candidates are sorted: first the listed names in canonical
// form, in the order of the list, then those in other spellings, then other vendors'.
func (hs *headers) search(r *Request) (source, id string) {
	var room [4]candidate
	found, classy, vendors := room[:0], false, 0
	for key, values := range r.Header {
		if key == "" {
			continue
		}
		classy = classy || classHeaders.has(key)
		if hs.filter.has(key) { // false for most headers
			rank, source := hs.rank(key, vendors <= maxVendors)
			if rank >= hs.vendorRank() {
				vendors++
			}
			if source != "" {
				found = append(found, candidate{rank, source, values})
			}
		}
	}
	if !classy {
		r.noClassHeader.Store(true)
	}
	if vendors > maxVendors { // which of them were found depends on the map's order
		found = slices.DeleteFunc(found, func(h candidate) bool { return h.rank >= hs.vendorRank() })
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.source, b.source))
	})
	for i := 0; i < len(found); {
		// One name in several spellings is one header.
		first := found[i]
		values := slices.Clip(first.values) // they are the caller's, so append must copy them
		for i++; i < len(found) && found[i].rank == first.rank && found[i].source == first.source; i++ {
			values = append(values, found[i].values...)
		}
		if id := commonID(values); id != "" {
			if first.rank >= len(hs.names) { // not canonical, so other headers may not be either
				r.checkSpelling()
			}
			return first.source, id
		}
	}
	return "", ""
}

// rank returns the rank of a header and the source of its sessions. The source is empty if
// the header names no session. vendors says whether headers that are not on the list count.
func (hs *headers) rank(key string, vendors bool) (int, string) {
	alike := hs.byLength[min(len(key), maxLength)]
	for _, i := range alike {
		if hs.names[i].canonical == key {
			return i, hs.names[i].source
		}
	}
	for _, i := range alike {
		if n := hs.names[i]; strings.EqualFold(n.canonical, key) {
			return len(hs.names) + i, n.source
		}
	}
	if hs.known && vendors {
		if i, source := vendorSession(key); i >= 0 {
			return hs.vendorRank() + i, source
		}
	}
	return 0, ""
}

// vendorRank is the least rank of headers that are not on the list: listed names have two
// ranks each, one in canonical form and one in any other.
func (hs *headers) vendorRank() int { return 2 * len(hs.names) }

// maxVendors is how many headers that are not on the list may count. Of more, none does: no
// client sends so many, and sorting a megabyte of them takes long.
const maxVendors = 32

// vendorSuffixes are the ends of session headers of vendors that are not on the list, in the
// order in which they count: words that mostly mean something wider come first.
// newHeaders relies on all of them ending in the same letter.
var vendorSuffixes = [...]string{"-session-id", "-conversation-id", "-chat-id", "-thread-id"}

// vendorSession returns the source of the sessions that a header of a vendor names, and its
// rank among those headers: by the suffix that it ends in, those with X- before those without.
// The rank is -1 if the name has no such suffix or is too long for a log. The source is empty
// unless there are letters or digits before the suffix (after the X-), nothing else but
// hyphens, and no words that make it the name of something else (notSessions, otherSessions).
func vendorSession(key string) (rank int, source string) {
	const longest = 64
	if len(key) > longest {
		return -1, ""
	}
	for i, suffix := range vendorSuffixes {
		end := len(key) - len(suffix)
		if end <= 0 || !strings.EqualFold(key[end:], suffix) {
			continue
		}
		source = strings.ToLower(key)
		vendor, isX := strings.CutPrefix(source[:len(source)-len(suffix)], "x-")
		if !isX {
			i += len(vendorSuffixes)
		}
		if strings.Trim(vendor, "-") == "" || strings.Trim(vendor, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return i, ""
		}
		last := ""
		for last = range strings.SplitSeq(vendor, "-") {
			if otherSessions[last] {
				return i, ""
			}
		}
		if suffix == "-session-id" && notSessions[last] {
			return i, ""
		}
		return i, source
	}
	return -1, ""
}

// header returns the id that a header holds, or "" if it is missing, is no id or has several
// different values. The name must be in canonical form. Other spellings in the map are
// found only after checkSpelling has been called.
func (r *Request) header(name string) string {
	if values := r.Header[name]; len(values) > 0 {
		return commonIDOfSome(values)
	}
	if !r.oddSpelling.Load() {
		return ""
	}
	return commonID(r.values(name))
}

// checkSpelling finds out, once, whether all names of headers are in canonical form, and sets
// r.oddSpelling if not. Content-Type, which most requests have, stands for all: if it is in
// canonical form, so are the others. If a session is named by a header in canonical
// form, that header stands for all, and checkSpelling is not called.
func (r *Request) checkSpelling() {
	if r.spellingChecked.Load() {
		return
	}
	if len(r.Header["Content-Type"]) == 0 {
		for key := range r.Header {
			if textproto.CanonicalMIMEHeaderKey(key) != key {
				r.oddSpelling.Store(true)
				break
			}
		}
	}
	r.spellingChecked.Store(true)
}

// values returns the values of a header, whose name must be in canonical form. As for
// header, other spellings are found only after checkSpelling has been called.
func (r *Request) values(name string) []string {
	if values := r.Header[name]; len(values) > 0 || !r.oddSpelling.Load() {
		return values
	}
	var values []string // a new slice, since those in the map are the caller's
	for key, v := range r.Header {
		if len(key) == len(name) && strings.EqualFold(key, name) {
			values = append(values, v...)
		}
	}
	return values
}

// commonID returns the id that a header with these values holds, or "" if there are no values,
// if they differ or if they are no id. It is small enough to be inlined, since most
// headers that are looked for are missing.
func commonID(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return commonIDOfSome(values)
}

// commonIDOfSome is commonID for at least one value.
func commonIDOfSome(values []string) string {
	if !alike(values) {
		return ""
	}
	id, _ := ID(values[0])
	return id
}

// alike reports whether all values are the same.
func alike(values []string) bool {
	for i := 1; i < len(values); i++ {
		if values[i] != values[0] {
			return false
		}
	}
	return true
}

// Metadata returns an Extractor of the session id under exactly the given key of
// Request.Metadata. Its Source is "metadata:" followed by the key, and its Confidence is
// Explicit. A value that is not an [ID], such as "0", names no session.
func Metadata(key string) Extractor {
	source := "metadata:" + key
	return ExtractorFunc(func(r *Request) (Session, bool) {
		id, ok := ID(r.Metadata[key])
		if !ok {
			return Session{}, false
		}
		return r.named(source, id, Explicit), true
	})
}
