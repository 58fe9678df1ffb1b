package extract

import "bytes"

// A StateReader finds the ids of state in a response while it passes by: the answer of an
// upstream as JSON or as a stream of events. Write to it what the client is sent, in
// pieces of any size; it delays nothing and keeps no more than three ids. Use
// [NewStateReader], once for each response. It does not decompress, and is not safe for
// concurrent use.
//
// Give it only the responses of APIs that keep state, since each id that is learned takes
// a place in the Cache. A StateReader does not know whether an API keeps what it names:
// every answer of Anthropic's has an id msg_..., as OpenAI's items do, but is not kept.
//
// In members named id, file_id, output_file_id, error_file_id, batch_id, container_id,
// thread_id, conversation_id, response_id, interaction_id or environment_id, it knows
// resp_... (OpenAI, LM Studio), conv_... (OpenAI, Mistral), thread_... (OpenAI), ag_...
// (Mistral), v1_... and env_... (Google's interactions), sesn_..., sess_..., agent_... and
// what else agents have that Anthropic or OpenAI runs, the ids of containers, files,
// uploads, batches, jobs of fine-tuning, vector stores, skills, videos (OpenAI, Volcengine),
// contexts (Volcengine) and spoken answers, and those of items that OpenAI's item_reference
// takes. In members named name or responsesFile, it knows cachedContents/...,
// fileSearchStores/..., batches/..., files/... and models/.../operations/... (Gemini), and
// projects/.../cachedContents/... (Vertex AI). An id that is a UUID, as xAI and Mistral have
// them, counts if the next of such members is "object", and a response, a file, a batch or a
// job; so does a UUID that a response begins with as its request_id, and one in a member named
// task_id (DashScope), output_file or error_file (Mistral). A uri of a file of the Gemini API
// counts as its name, files/.... Names and ids with \u escapes in them, which no API writes,
// are overlooked.
type StateReader struct {
	found func(id string)
	n     int    // how many were found
	last  string // the last of them

	// It reads nothing of JSON but where strings begin and end, and whether there is a colon
	// before one: such a string is a value, and the string before the colon is its name. (The
	// colon of "data:", which may come before a name in a stream, does not count.)
	inString bool
	escaped  bool     // within a string, after a backslash
	colon    bool     // outside of strings, a colon came last that is not part of a word
	glued    bool     // outside of strings, the last piece did not end in white space
	value    bool     // the string is a value
	buf      []byte   // the string so far
	unfit    bool     // the string is too long, or has an escape that no id has; buf is not all of it
	name     [16]byte // how the last string that was not a value begins; names that count are shorter than that
	nameLen  int

	later   bool          // there has been a string that is a value
	uuid    [uuidLen]byte // the id of the current object, which may be a response of xAI's
	hasUUID bool
}

// NewStateReader returns a StateReader whose Write calls found for every id: only once
// for one that comes several times in a row, and at most 64 times in all. It panics if found
// is nil.
func NewStateReader(found func(id string)) *StateReader {
	if found == nil { // Write would panic, in the middle of an answer
		panic("extract: NewStateReader needs a function to call")
	}
	return &StateReader{found: found, buf: make([]byte, 0, maxID)}
}

const maxStates = 64

// Write takes the next piece of the response. It always returns len(p), nil.
func (s *StateReader) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && s.n < maxStates {
		if s.inString {
			p = s.string(p)
			continue
		}
		// Look at what is between the last string and the quote at which the next one begins.
		i := bytes.IndexByte(p, '"')
		between := p
		if i >= 0 {
			between = p[:i]
		}
		for j := len(between) - 1; j >= 0; j-- {
			if c := between[j]; c > ' ' { // else it is white space
				s.colon = c == ':' && (j > 0 && between[j-1] <= ' ' || j == 0 && !s.glued)
				break
			}
		}
		if i < 0 {
			s.glued = between[len(between)-1] > ' '
			break
		}
		s.inString, s.value, s.colon, s.glued = true, s.colon, false, false
		s.buf, s.unfit = s.buf[:0], false
		p = p[i+1:]
	}
	return n, nil
}

// string reads the rest of the string, as far as that is in p, and returns the rest of p. It goes
// byte by byte: looking for the next quote or backslash by package bytes takes longer if
// strings are short, as in events, and many times as long if all is escapes.
func (s *StateReader) string(p []byte) (rest []byte) {
	from := 0 // all before it was kept, or left out
	for i, c := range p {
		switch {
		case s.escaped:
			s.escaped = false
			s.unfit = s.unfit || c != '/'
			from = i // a slash stands for itself
		case c == '\\':
			s.keep(p[from:i])
			s.escaped, from = true, len(p)
		case c == '"':
			s.keep(p[from:i])
			s.inString = false
			if s.value {
				s.endValue()
			} else {
				s.endName()
			}
			return p[i+1:]
		}
	}
	s.keep(p[from:])
	return nil
}

// keep appends a part of the string to buf, unless the string is unfit.
func (s *StateReader) keep(part []byte) {
	if s.unfit = s.unfit || len(s.buf)+len(part) > maxID; !s.unfit {
		s.buf = append(s.buf, part...)
	}
}

// endName ends a string that is not a value, so it may be the name of one.
func (s *StateReader) endName() {
	s.nameLen = 0
	if !s.unfit {
		s.nameLen = copy(s.name[:], s.buf)
	}
}

// endValue ends a string that is a value.
func (s *StateReader) endValue() {
	isState := false
	switch name := string(s.name[:s.nameLen]); name {
	case "object":
		if s.hasUUID && !s.unfit && isUUIDObject(s.buf) {
			s.find(s.uuid[:])
		}
		s.hasUUID = false
	case "request_id": // of a video of xAI's, or of an answer that it has yet to make; most others come after an answer
		isState = !s.later && isUUID(s.buf)
	case "task_id", "output_file", "error_file": // DashScope, Mistral
		isState = isUUID(s.buf)
	case "id", "file_id", "output_file_id", "error_file_id", "batch_id", "container_id", "thread_id", "conversation_id", "response_id", "interaction_id", "environment_id":
		isState = isStateID(s.buf)
		if s.hasUUID = name == "id" && !s.unfit && isUUID(s.buf); s.hasUUID {
			copy(s.uuid[:], s.buf)
		}
	case "uri": // of a video that Gemini has made
		if file := fileOf(s.buf); begins(file, "files/") && !bytes.HasPrefix(s.buf, file) && !s.unfit { // else it is relative, perhaps to something else
			s.find(file)
		}
	case "name", "responsesFile":
		isState = begins(s.buf, "cachedContents/", "fileSearchStores/", "batches/", "files/") || bytes.HasPrefix(s.buf, []byte("projects/")) && bytes.Contains(s.buf, []byte("/cachedContents/")) ||
			bytes.HasPrefix(s.buf, []byte("models/")) && bytes.Contains(s.buf, []byte("/operations/"))
	}
	s.later = true
	if isState && !s.unfit {
		s.find(s.buf)
	}
}

// find calls found for an id, unless it is the same as the last one: in a stream, each event may
// have it. Those that are no id after all count towards maxStates, so that their number is
// bounded as well.
func (s *StateReader) find(raw []byte) {
	if string(raw) == s.last {
		return
	}
	s.last = string(raw)
	s.n++
	if id, ok := ID(s.last); ok {
		s.found(id)
	}
}

// isStateID reports whether an id begins, up to the first "_" or "-", like an id of state, and is
// longer than that.
func isStateID(id []byte) bool {
	n := 0
	for n < len(id) && id[n] != '_' && id[n] != '-' {
		n++
	}
	if n+1 >= len(id) {
		return false
	}
	switch string(id[:n+1]) {
	case "resp_", "conv_", "thread_", "v1_", "sesn_", "sess_", "agent_", "ag_", "env_", "vlt_", "vault_", "depl_", "memstore_", "container_", "cntr_", "file-", "file_", "upload_", "batch_", "msgbatch_", "ftjob-", "cgt-", "ctx-", "vs_", "skill_", "audio_", "video_",
		"msg_", "rs_", "fc_", "ctc_", "ws_", "fs_", "ci_", "ig_", "cu_", "mcp_", "mcpl_", "mcpr_", "cmp_", // items
		"apc_", "sh_", "sho_", "lsh_", "tsc_", "tso_":
		return true
	}
	return false
}

// isUUIDObject reports whether objects of that kind may be state with a UUID as their id: responses
// of xAI's, and what Mistral has.
func isUUIDObject(kind []byte) bool {
	switch string(kind) {
	case "response", "file", "batch", "job":
		return true
	}
	return false
}

// begins reports whether s begins with one of the prefixes and is longer than that.
func begins[S string | []byte](s S, prefixes ...string) bool {
	for _, p := range prefixes {
		if len(s) > len(p) && string(s[:len(p)]) == p {
			return true
		}
	}
	return false
}
