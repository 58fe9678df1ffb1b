package extract

import (
	"bytes"
	"slices"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// These bound what Pins returns, and how much it looks at; so do maxMembers, maxLooks and
// bytesPerLook. No request comes near any of them but maxPins.
const (
	maxPins  = 16
	maxVain  = 1 << 12 // mentions of what was found already, or is not an id
	maxTools = 1 << 12
)

// Pins returns the ids of state on the upstream that the request refers to, at most 16
// of them. Such a request fails on any other upstream. They are, in this order:
//
//   - previous_response_id, previous_interaction_id and, where thread continues,
//     thread.previous_message_id;
//   - conversation, if it is one of OpenAI's, cachedContent, the context_id of Volcengine,
//     container, the prompt template of OpenAI, and the files and skills in the container;
//   - of tools, the container or the environment and the files and skills in it, vector
//     stores, file search stores and the mask of an image;
//   - a managed agent of Anthropic, OpenAI or Mistral, and the environment, vaults, files and
//     memory stores that a session of an agent is given (beside a member messages, only
//     Mistral's counts);
//   - the response in the path of GET /v1/responses/{id} and its like: conversations,
//     threads and sessions of agents, agents and what they have, batches and other jobs,
//     containers, skills, vector and file search stores, files, uploads, cached contents,
//     and videos and answers that are being made; and the session of an agent of Bedrock.
//     What is in the path counts only if it looks like an id of these APIs: one of a
//     response has an underscore, or is a UUID; and not where the path of an API comes after
//     it, as in /tasks/{id}/v1/messages;
//   - if there are no messages, the files that a batch, a vector store or a job of
//     fine-tuning is made of, and the skills and other agents of a new agent of Anthropic's;
//   - in the messages, file_id, fileUri, DashScope's fileid://, the container_id of a call, the
//     audio of an earlier answer, items of type item_reference, and, unless store is false,
//     reasoning that is sent without its text and without encrypted_content, and
//     image_generation_calls without their result, which OpenAI then looks up. The
//     arguments of a tool call and results that are JSON are not looked into: ids in
//     them are the tool's own. A fileUri that leads to a file of the Gemini API becomes
//     the name of that file, files/...; others can be read from anywhere. Names and types
//     with escapes in them, which no client writes, may be overlooked.
//
// It reads the body. The slice is worked out once per request, and shared: do not change it.
func (r *Request) Pins() []string {
	if ids := r.state.Load(); ids != nil {
		return *ids
	}
	ids := r.pins()
	if len(r.Body) > 0 { // otherwise the body may be yet to come
		r.state.Store(&ids)
	}
	return ids
}

// pins is Pins, worked out anew.
func (r *Request) pins() []string {
	p := pins{looks: maxMembers}
	for _, f := range pointerFields {
		p.add(jsonID(r.pointer(f)))
	}
	p.add(idWith("conv_", r.get(conversationField))) // others are those of applications
	p.add(idWith("conv_", r.get(conversationInnerIDField)))
	p.add(jsonID(r.get(cachedContentField)))
	p.add(jsonID(r.get(requestCachedContentField)))
	p.add(idWith(contextPrefix, r.member("context_id")))
	container := r.member("container")
	p.add(jsonID(container))
	p.add(jsonID(lastMember(container, "id")))
	p.add(idWith("pmpt_", lastMember(r.get(promptField), "id")))
	p.container(container)
	p.tools(r.get(toolsField))
	p.agent(r)
	p.add(pathState(r.Path))
	if r.messages() == nil {
		p.parts(r)
	}
	stored := string(r.member("store")) != "false"
	for _, f := range messageFields {
		raw := r.list(f)
		p.fileIDs(raw)
		if mentionsState(raw) || f == inputField && mentions(raw, 3, `"uri"`) { // of a file in Google Interactions; the quote at 4 is not a rare byte
			c := jsonscan.New(raw)
			p.looks = maxLooks + len(raw)/bytesPerLook
			p.references(&c, stored && f == inputField)
		}
	}
	return slices.Clip(p.ids) // the slice is shared, so appending to it must copy it
}

// pins collects ids of state. Each of its methods may stop early if more is false.
type pins struct {
	ids   []string
	vain  int // how often add was called in vain
	looks int // how many more members, and values in messages, may be looked at
}

// more reports whether there may be another id.
func (p *pins) more() bool { return len(p.ids) < maxPins && p.vain < maxVain && p.looks >= 0 }

// add adds an id, unless ok is false.
func (p *pins) add(id string, ok bool) {
	switch {
	case len(p.ids) == maxPins:
	case !ok || slices.Contains(p.ids, id):
		p.vain++
	default:
		p.ids = append(p.ids, id)
	}
}

// tools adds the state that tools make use of.
func (p *pins) tools(raw []byte) {
	c := jsonscan.New(raw)
	c.Array()
	for n := 0; n < maxTools && p.more() && c.Element(); n++ {
		p.members(&c, func(name, value []byte) {
			switch string(name) {
			case "container": // of a code interpreter
				p.add(jsonID(value))
				p.container(value)
			case "environment": // of a shell
				p.container(value)
			case "input_image_mask":
				p.add(jsonID(lastMember(value, "file_id")))
			case "vector_store_ids", "file_search_store_names": // OpenAI, Google Interactions
				p.list(value)
			case "fileSearch", "file_search": // Gemini
				p.list(lastMember(value, "fileSearchStoreNames"))
				p.list(lastMember(value, "file_search_store_names"))
			}
		})
	}
}

// agent adds the managed agent that is to answer, and what it is given.
func (p *pins) agent(r *Request) {
	agent, id := r.member("agent"), r.member("agent_id")
	if agent == nil && id == nil {
		return
	}
	p.add(idWith("ag_", id)) // Mistral
	saved, ok := idWith("agent_", id)
	if agent == nil && !ok || hasMessages(r.get(messageFields[0])) { // what a client of a chat calls its agent is its own
		return
	}
	p.add(saved, ok)               // OpenAI
	p.add(idWith("agent_", agent)) // Anthropic
	p.add(idWith("agent_", lastMember(agent, "id")))
	p.add(idWith("env_", r.member("environment_id")))
	environment := r.member("environment")
	p.add(idWith("env_", environment)) // Google Interactions
	p.list(r.member("vault_ids"))
	for _, list := range [...][]byte{r.member("resources"), lastMember(environment, "files")} { // Anthropic, OpenAI
		c := jsonscan.New(list)
		for c.Array(); p.more() && c.Element(); {
			resource := c.Skim()
			p.add(jsonID(lastMember(resource, "file_id")))
			p.add(jsonID(lastMember(resource, "memory_store_id")))
		}
	}
}

// parts adds what something is made of that is to be created: a batch, a vector store, a job of
// fine-tuning, an agent of Anthropic's. No such request has messages, so the others, which are
// most, need not be searched for these members.
func (p *pins) parts(r *Request) {
	p.add(jsonID(r.member("input_file_id")))
	p.list(r.member("input_files")) // Mistral
	p.list(r.member("file_ids"))
	p.add(jsonID(r.member("training_file")))
	c := jsonscan.New(r.member("training_files")) // Mistral
	for c.Array(); p.more() && c.Element(); {
		p.add(jsonID(lastMember(c.Skim(), "file_id")))
	}
	if batch := r.member("batch"); batch != nil { // Gemini
		for _, input := range [...][]byte{lastMember(batch, "inputConfig"), lastMember(batch, "input_config")} {
			p.add(jsonID(lastMember(input, "fileName")))
			p.add(jsonID(lastMember(input, "file_name")))
		}
	}
	p.skills(r.member("skills"))
	c = jsonscan.New(lastMember(r.member("multiagent"), "agents"))
	for c.Array(); p.more() && c.Element(); {
		agent := c.Skim()
		p.add(idWith("agent_", agent))
		p.add(idWith("agent_", lastMember(agent, "id")))
	}
}

// list adds the ids in a list.
func (p *pins) list(raw []byte) {
	c := jsonscan.New(raw)
	for c.Array(); p.more() && c.Element(); {
		p.add(jsonID(c.Skim()))
	}
}

// container adds the state of a container, if that is an object: its own id, unless it is
// new, and the files and skills in it.
func (p *pins) container(raw []byte) {
	c := jsonscan.New(raw)
	p.members(&c, func(name, value []byte) {
		switch string(name) {
		case "container_id":
			p.add(jsonID(value))
		case "file_ids":
			p.list(value)
		case "skills":
			p.skills(value)
		}
	})
}

// skills adds the skills in a list that somebody has uploaded. Others have names, such as pptx, and
// are on every upstream.
func (p *pins) skills(raw []byte) {
	c := jsonscan.New(raw)
	for c.Array(); p.more() && c.Element(); {
		p.add(idWith("skill_", lastMember(c.Skim(), "skill_id")))
	}
}

// members reads the next value and calls f for its members, if it is an object. The name is
// valid only until f returns.
func (p *pins) members(c *jsonscan.Cursor, f func(name, value []byte)) {
	if !c.Object() {
		c.Skim()
		return
	}
	var room *nameRoom // allocated only if a name has escapes: it is on the heap, since it is passed to f
	for ; p.more(); p.looks-- {
		name, ok := c.Key()
		if !ok {
			return
		}
		if bytes.IndexByte(name, '\\') >= 0 {
			if room == nil {
				room = new(nameRoom)
			}
			name = room.read(name)
		}
		f(name, c.Skim())
	}
}

// fileIDs adds the files that DashScope is to read. One of the messages of the system that come
// first begins with their names: "fileid://file-fe-1,fileid://file-fe-2".
func (p *pins) fileIDs(messages []byte) {
	const most = 16 // of these messages; it is the second of them, if clients keep to the documentation
	c := jsonscan.New(messages)
	c.Array()
	for range most {
		if !c.Element() {
			return
		}
		message := c.Skim()
		role := jsonscan.New(lastMember(message, "role"))
		if string(keyword(&role)) != "system" {
			return
		}
		names, ok := bytes.CutPrefix(lastMember(message, "content"), []byte(`"fileid://`))
		if !ok {
			continue
		}
		for ok && p.more() {
			var name []byte
			name, names, _ = bytes.Cut(names, []byte(","))
			if end := bytes.IndexAny(name, ` \"`); end >= 0 { // the content ends, or other text comes
				name, names = name[:end], nil
			}
			p.add(ID(string(name)))
			names, ok = bytes.CutPrefix(bytes.TrimLeft(names, " "), []byte("fileid://"))
		}
		return
	}
}

// mentionsState reports whether messages may refer to state. This saves most requests the walk of
// references. It overlooks names with escapes in them, which no client writes.
func mentionsState(raw []byte) bool {
	return mentions(raw, 5, `"file_id`, `"file_uri`, `"item_reference`, `"cntr_`) || mentions(raw, 5, `"fileUri`) ||
		mentions(raw, 3, `"rs_`, `"ig_`) || mentions(raw, 6, `"audio_`)
}

// references reads the next value and adds the state that it refers to. It does not look into
// the arguments of tool calls, nor into results in JSON. stored says that the upstream looks
// up reasoning and images by their ids: OpenAI's Responses does, if responses are stored.
func (p *pins) references(c *jsonscan.Cursor, stored bool) {
	if p.looks--; p.looks < 0 {
		return
	}
	switch c.Kind() {
	case '[':
		for c.Array(); p.more() && c.Element(); {
			p.references(c, stored)
		}
	case '{':
		p.object(c, stored)
	default:
		c.Skim()
	}
}

// object is references for an object.
func (p *pins) object(c *jsonscan.Cursor, stored bool) {
	var kind, id []byte
	whole := false // it is reasoning with its text, or encrypted, or an image with its data: nothing is looked up
	var room nameRoom
	c.Object()
	for p.more() {
		name, ok := c.Key()
		if !ok {
			break
		}
		switch string(room.read(name)) {
		case "file_id":
			p.add(jsonID(c.Skim()))
		case "fileUri", "file_uri":
			p.add(fileName(c.Skim()))
		case "uri": // of anything: only a full URI shows whether it is that of a file
			if uri := c.Skim(); bytes.HasPrefix(uri, []byte(`"https:`)) {
				p.add(fileName(uri))
			}
		case "container_id":
			p.add(idWith("cntr_", c.Skim()))
		case "encrypted_content", "result": // of reasoning, and of an image that was made
			if c.Kind() != '"' {
				p.references(c, stored)
				break
			}
			whole = len(c.Skim()) > len(`""`) || whole
		case "content":
			ahead := *c
			whole = ahead.Array() && ahead.Element() || whole
			p.references(c, stored)
		case "input", "args", "arguments", // of a call
			"response", "json": // of Gemini's and Converse's results
			c.Skim()
		case "type":
			kind = c.Skim()
		case "id":
			id = c.Skim()
		default:
			p.references(c, stored)
		}
	}
	if p.more() {
		p.item(kind, id, stored && !whole)
	}
}

// item adds the state that an object is, or refers to, given its type and id. lookedUp says that
// the upstream looks it up if it is reasoning or an image.
func (p *pins) item(kind, id []byte, lookedUp bool) {
	switch string(kind) {
	case `"item_reference"`:
		p.add(jsonID(id))
	case `"reasoning"`:
		if lookedUp {
			p.add(idWith("rs_", id)) // other ids come from proxies that translate, which look nothing up
		}
	case `"image_generation_call"`:
		if lookedUp {
			p.add(idWith("ig_", id))
		}
	case "":
		if id != nil { // attachments with an id have a type
			p.add(idWith("audio_", id))
		}
	}
}

// fileName returns the name of the file to which the URI in raw leads, if it is one
// of the Gemini API: https://ai.google.dev/api/files.
func fileName(raw []byte) (string, bool) {
	return ID(string(fileOf([]byte(unquote(raw)))))
}

// fileOf is fileName for a URI that has been read: files/..., or nothing.
func fileOf(uri []byte) []byte {
	i := bytes.LastIndex(uri, []byte("files/"))
	if i < 0 || i > 0 && !bytes.HasPrefix(uri, []byte("https://generativelanguage.googleapis.com/")) {
		return nil
	}
	name := uri[i:]
	if end := bytes.IndexAny(name, "?:"); end >= 0 { // a verb, such as :download
		name = name[:end]
	}
	return name
}
