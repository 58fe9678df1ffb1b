package extract

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// Trail returns an Extractor that recognises a conversation by its messages,
// for clients that send no id. Its Source is "trail".
//
// The trail of a request is the chain of digests k1, k2, ..., kn over its
// system prompt and then the texts that people wrote, each digest over all
// that came before. The session's ID is kn. It continues the longest of the fifteen
// before it that an earlier request ended at: so a turn leads back to the turn
// before it, a fork or a rollback to the trunk, and two conversations part at
// the first word that differs. Nothing that models, tools and clients add has
// a part in it:
//
//   - answers, thinking, tool calls and their results are left out, and so are
//     ids, cache_control and the list of tools;
//   - "x" and [{"type":"text","text":"x"}] are the same, and so is every way to
//     escape, indent and order JSON;
//   - the x-anthropic-billing-header line is not part of the system prompt;
//   - <system-reminder> blocks, <environment_context> and the like are nobody's
//     words where a person's remain: those before the first answer go with the
//     system prompt, later ones are left out.
//
// Some clients change what surrounds the words between two turns: the system
// prompt names another model or date, a reminder moves. A turn whose own trail
// leads nowhere therefore also continues a request with the same texts in the
// same place (the directories that the system prompt or the injected blocks
// name), or under the same system prompt, and starts at the target of one with
// the same texts alone, as side calls of an agent have. All that only where an
// answer in the messages shows that there was an earlier request.
//
// It reads OpenAI chat, Responses and legacy completions, Anthropic Messages,
// Gemini and its Code Assist envelope, Bedrock Converse, Ollama and Cohere v2,
// by the members that a body has, whatever its path. A body that is the
// continuation of something on the server (previous_response_id and the like)
// does not show its conversation, and has no trail. Nor has one in which nobody
// wrote anything, one of more than 32,768 messages, blocks and values, or one with
// a block of more than 4,096 members. Where a message has two roles, or a block two
// types, either may count, and half as many messages are read.
//
// Two conversations that begin alike, to the letter, are one until they part. A client
// that sends the last few messages only, writes early ones anew for every turn, or adds
// to the last one what it leaves out later (but for what is known to be injected) has a
// new conversation each time: whatever led it back would put strangers together.
func Trail() Extractor { return trailExtractor{} }

type trailExtractor struct{}

// Extract implements Extractor.
func (trailExtractor) Extract(r *Request) (Session, bool) {
	r.index.talkative.Store(true)
	if !r.read() || r.delta() {
		return Session{}, false
	}
	s, ok := r.trail().session()
	if ok {
		r.name(&s, s.Source, s.ID, s.Confidence)
	}
	return s, ok
}

// expect makes the first to read a large body read its messages in passing, if
// the chain has a Trail that may ask for them.
func (r *Request) expect(c Chain) {
	if len(r.Body) > wholly && !r.index.talkative.Load() && slices.Contains(c, Trail()) {
		r.index.talkative.Store(true)
	}
}

// trail returns the trail of a body that has been read and found good.
func (r *Request) trail() *trail {
	if t := r.trailed.Load(); t != nil {
		return t
	}
	r.index.reading.Lock()
	defer r.index.reading.Unlock()
	t := r.trailed.Load()
	if t == nil {
		t = r.newTrail()
		r.trailed.Store(t)
	}
	return t
}

// newTrail returns the trail of a body. If its messages were read in passing,
// they are not read again, unless that was not enough.
func (r *Request) newTrail() *trail {
	t := r.index.talk
	if t == nil {
		t = new(trail)
		t.readMessages(r)
	}
	if t.unsure {
		*t = trail{careful: true, items: maxItems / 2} // the other half went into the first reading
		t.readMessages(r)
	}
	t.readSystem(r)
	if t.texts+t.injections == 0 {
		if prompt := r.get(promptField); prompt != nil {
			t.images(r.get(imagesField))
			t.prompt(prompt)
		}
	}
	return t
}

// Opening returns a digest of how the conversation begins: the system prompt
// and what a person wrote before the first answer. Requests with one explicit
// id and many different openings belong to many conversations. It reports false
// if the body shows no opening; a legacy prompt does not show where it began. Every
// process of one release gives the same digest.
func (r *Request) Opening() (uint64, bool) {
	if !r.read() || r.delta() {
		return 0, false
	}
	t := trail{openingOnly: true, careful: true}
	t.readMessages(r)
	t.readSystem(r)
	s := t.system.sum.join(endSalt, t.opening.sum).join(endSalt, t.here)
	return s[0], t.texts > 0 && t.items <= maxItems
}

// delta reports whether the body holds only what is new in a conversation that
// the server keeps.
func (r *Request) delta() bool {
	if r.continuesThread() {
		return true
	}
	for _, f := range [...]field{previousResponseIDField, previousInteractionIDField, conversationField, conversationInnerIDField} {
		if says(r.get(f)) {
			return true
		}
	}
	c := jsonscan.New(r.get(contextField)) // Ollama, tokens
	return c.Array() && c.Element() && '0' <= c.Kind() && c.Kind() <= '9'
}

// says reports whether a value is a text that says something, fit to be an id or not.
func says(raw []byte) bool {
	if len(raw) > maxRaw {
		return raw[0] == '"'
	}
	s, _ := text(raw)
	s = strings.TrimSpace(s)
	return s != "" && !placeholder(s)
}

// A sum is a running digest over a sequence of digests.
type sum [2]uint64

// Each kind of digest has a salt, so that one is never taken for another.
const (
	textSalt = iota + 1
	binarySalt
	pathSalt
	arraySalt
	objectSalt
	endSalt
	injectedSalt
	placeSalt
	systemSalt
	keySalt
)

// add returns the digest over s and then h.
func (s sum) add(salt, h uint64) sum {
	var b [24]byte
	binary.LittleEndian.PutUint64(b[0:], s[0])
	binary.LittleEndian.PutUint64(b[8:], salt)
	binary.LittleEndian.PutUint64(b[16:], h)
	lo := xxhash.Sum64(b[:])
	binary.LittleEndian.PutUint64(b[0:], s[1])
	binary.LittleEndian.PutUint64(b[8:], lo)
	return sum{lo, xxhash.Sum64(b[:])}
}

// plus returns a digest over two digests, whichever comes first.
func (s sum) plus(o sum) sum { return sum{s[0] + o[0], s[1] + o[1]} }

// join returns the digest over two digests.
func (s sum) join(salt uint64, o sum) sum {
	var b [32]byte
	binary.LittleEndian.PutUint64(b[0:], s[0])
	binary.LittleEndian.PutUint64(b[8:], salt)
	binary.LittleEndian.PutUint64(b[16:], o[0])
	binary.LittleEndian.PutUint64(b[24:], o[1])
	lo := xxhash.Sum64(b[:])
	binary.LittleEndian.PutUint64(b[0:], s[1])
	binary.LittleEndian.PutUint64(b[8:], lo)
	return sum{lo, xxhash.Sum64(b[:])}
}

// A step is the trail as it was when a message ended.
type step struct {
	sum      sum
	answered bool // a model spoke next
}

// How many steps back a session looks for what it continues. Its predecessor
// is one step back, unless the client has cut away many messages at once.
const (
	maxSteps = 16 // messages
	maxTexts = 16 // texts of the last message, for those who merge messages
	maxNear  = 4
)

// maxItems bounds the messages, blocks and values that a trail is made from. No
// conversation has so many; a body that has is not one, and no work is wasted
// on the rest of it.
const (
	maxItems   = 1 << 15
	maxMembers = 1 << 12 // of one block
)

// trail works out the chain of digests of a request.
type trail struct {
	items   int  // looked at
	inParts bool // parts in these count no more: each is gone over anew

	system   context // system prompt
	opening  context // system messages before the first answer
	injected context // what clients injected before the first answer, in any order
	answered bool    // a model has spoken

	texts int // that people wrote
	here  sum // the chain so far
	steps ring[step]
	parts ring[sum] // the chain within the message at hand

	injections int // anywhere
	all        sum // of them, in any order

	compacts bool // a compaction_trigger, which OpenAI's models take for a compaction

	lastWords []byte // of a person: how they open
	room      []byte // for them

	openingOnly bool // stop at the first answer

	// A message is read in passing, if its role comes first. Where a later
	// member may change what an earlier one means, unsure says so, and all is
	// read once more and carefully: each message to its end before anything in
	// it counts.
	careful, unsure bool
}

// A context is what surrounds the words of people.
type context struct {
	sum    sum
	places places    // that the texts name
	texts  [3][]byte // how the first ones open
	n      int       // of texts

	subagent bool // the billing line says so
}

// maxOpening is how much of a text is kept, as it stands between its quotes, to
// tell what it is.
const maxOpening = 256

// ring keeps the last few values that were put in.
type ring[E any] struct {
	items [maxSteps]E
	n     int
}

func (r *ring[E]) put(e E) {
	r.items[r.n%len(r.items)] = e
	r.n++
}

// back returns the i-th value from the end, which counts from 0, or nil.
func (r *ring[E]) back(i int) *E {
	if i >= r.n || i >= len(r.items) {
		return nil
	}
	return &r.items[(r.n-1-i)%len(r.items)]
}

// readSystem reads the system prompt that stands beside the messages.
func (t *trail) readSystem(r *Request) {
	for _, f := range systemFields {
		if raw := r.get(f); raw != nil {
			c := jsonscan.New(raw)
			t.content(&c, &t.system)
		}
	}
}

// readMessages reads the messages, wherever they stand: in the first place that
// has what a person wrote.
func (t *trail) readMessages(r *Request) {
	for _, f := range messageFields {
		if raw := r.list(f); raw != nil {
			c := jsonscan.New(raw)
			t.messages(&c)
			if !c.OK() {
				t.items = maxItems + 1
				return
			}
			if t.texts+t.injections > 0 {
				return
			}
		}
	}
}

// more counts an item, and reports whether there may be one more.
func (t *trail) more() bool {
	t.items++
	return t.items <= maxItems
}

// session returns the session that the trail leads to.
func (t *trail) session() (Session, bool) {
	if t.items > maxItems {
		return Session{}, false
	}
	here := t.here
	if t.texts == 0 {
		if t.injections == 0 {
			return Session{}, false
		}
		here = t.all
	}
	system := t.system.sum.join(endSalt, t.opening.sum)
	whole := system.join(endSalt, t.injected.sum)

	// What the request has in common with others of its conversation, beside
	// the texts: everything, the place, or the system prompt with something
	// injected or with nothing.
	place := t.injected.places
	if place.n == 0 {
		place = t.system.places.and(t.opening.places)
	}
	var room [2][4]sum
	aliases, common := room[0][:0], room[1][:0]
	if place.n > 0 {
		key := place.sum.join(placeSalt, sum{})
		aliases, common = append(aliases, key), append(common, key)
	}
	injected := system.join(systemSalt, sum{})
	common = append(common, injected)
	if t.injected.sum != (sum{}) {
		aliases, common = append(aliases, injected), append(common, system.join(endSalt, sum{}))
	}
	aliases = append(aliases, sum{})

	var keys keyBuffer
	keys.add(whole, here)
	for _, a := range aliases {
		keys.add(a, here)
	}
	for i := range maxTexts {
		if part := t.parts.back(i); part != nil && *part != here {
			keys.add(whole, *part)
		}
	}
	for i := range maxSteps {
		if st := t.steps.back(i); st != nil && st.sum != here {
			keys.add(whole, st.sum)
		}
	}
	// Last come the texts alone, which make a neighbour only.
	near := 0
	for _, c := range append(common, sum{}) {
		near = keys.n
		for i := range maxNear {
			if st := t.steps.back(i); st != nil && st.answered {
				keys.add(c, st.sum)
			}
		}
	}
	ids := keys.ids()
	continues := 1 + len(aliases)
	return Session{
		Source:     "trail",
		ID:         ids[0],
		Confidence: Derived,
		Aliases:    ids[1:continues:continues],
		Continues:  ids[continues:near:near],
		Near:       ids[near:],
	}, true
}

// keyBuffer holds keys one behind the other: as many as a session can have.
type keyBuffer struct {
	text [maxKeys * keySize]byte
	n    int
}

const (
	keySize = 16
	maxKeys = 1 + 3 + maxSteps + maxTexts + 4*maxNear
)

// add appends the key of the texts here in a context.
func (k *keyBuffer) add(context, here sum) {
	s := context.join(keySalt, here)
	b := k.text[k.n*keySize:][:keySize]
	binary.LittleEndian.PutUint64(b, s[0])
	binary.LittleEndian.PutUint64(b[8:], s[1])
	k.n++
}

// ids returns the keys as ids, which share one piece of memory.
func (k *keyBuffer) ids() []string {
	all := string(k.text[:k.n*keySize])
	ids := make([]string, k.n)
	for i := range ids {
		ids[i] = all[i*keySize : (i+1)*keySize]
	}
	return ids
}

// A speaker is whose words a message holds.
type speaker uint8

const (
	speakerTool speaker = iota // results, calls, reasoning: nobody's words
	speakerSystem
	speakerPerson
	speakerModel
)

// speakerOf returns whose words a message holds, by its role and, if it has
// none, its type. Gemini leaves out the role of a person; an item of the
// Responses API without one is a call or a result unless it has no type either.
func speakerOf(role, kind []byte) speaker {
	switch string(role) {
	case "user", "USER":
		return speakerPerson
	case "system", "developer", "SYSTEM":
		return speakerSystem
	case "assistant", "model", "CHATBOT":
		return speakerModel
	case "":
		switch string(kind) {
		case "", "message", "user_input",
			"text", "image", "audio", "document", "video", // content without a message around it
			"input_text", "input_image", "input_audio", "input_file":
			return speakerPerson
		case "function_call", "reasoning", "custom_tool_call", "local_shell_call", "model_output",
			"item_reference": // to what a model said: what a person says is sent
			return speakerModel
		}
	}
	return speakerTool
}

// messages reads the next value: an array of messages, a single one, or a
// string. However many messages there are, only so many are looked at: the rest
// costs no more than it takes to find the end.
func (t *trail) messages(c *jsonscan.Cursor) {
	if !c.Array() {
		t.message(c)
		return
	}
	for c.Element() {
		if !t.more() {
			c.Skim()
			c.Leave(']')
			return
		}
		switch t.message(c); {
		case t.answered && t.openingOnly:
			return
		case t.unsure && !t.careful: // all is read once more
			c.Leave(']')
			return
		}
	}
}

// message reads the next message.
func (t *trail) message(c *jsonscan.Cursor) {
	t.parts.n = 0
	switch c.Kind() {
	case '"':
		t.content(c, nil)
		t.end()
	case '{':
		t.members(c)
	default:
		c.Skim()
	}
}

// members reads the next message, which is an object. Most are of one of two kinds
// to the letter, which takes no look at one member after the other.
func (t *trail) members(c *jsonscan.Cursor) {
	whole := *c
	switch {
	case t.careful:
	case c.Past(`{"role":"assistant"`):
		c.Leave('}')
		t.speaks(speakerModel)
		return
	case c.Past(`{"role":"user","content":`):
		if c.Kind() == 'n' { // what counts may come yet
			*c = whole
			break
		}
		if t.content(c, nil); c.Past(`}`) {
			t.end()
			return
		}
		t.rest(c, whole, true)
		return
	}
	c.Object()
	t.rest(c, whole, false)
}

// rest reads what is left of a message: all that is behind the bracket, or, if a
// person's role and content have been read, what is behind these.
//
// Where the role comes before the content, as it mostly does, the content is taken in as
// it is met (done), and what is taken in cannot be taken back: if a later member would
// have that, unsure says so. Where it comes behind, and if it is careful, the content
// is kept until the message has ended.
func (t *trail) rest(c *jsonscan.Cursor, whole jsonscan.Cursor, done bool) {
	// The values of members, the first two between their quotes.
	var role, kind, content, parts, images []byte
	if done {
		role = []byte("user")
	}
	who := speakerOf(role, kind)
	var room nameRoom
	for {
		name, ok := c.Key()
		if !ok {
			break
		}
		switch string(room.read(name)) {
		case "role":
			t.unsure = t.unsure || role != nil
			role = word(c)
			who = speakerOf(role, kind)
			if !t.careful && len(role) > 0 && (who == speakerTool || who == speakerModel) {
				c.Leave('}')
				t.speaks(who)
				return
			}
		case "type":
			kind = word(c)
			who = speakerOf(role, kind)
		case "content":
			switch {
			case done:
				t.unsure = true
				c.Skim()
			case t.careful || len(role) == 0 || c.Kind() == 'n':
				content = c.Skim()
			case parts != nil:
				t.unsure = true
				c.Skim()
			case who == speakerPerson:
				t.content(c, nil)
				done = true
			case who == speakerSystem && !t.answered:
				t.content(c, &t.opening)
				done = true
			default:
				c.Skim()
				done = true
			}
		case "parts":
			parts = c.Skim()
		case "images":
			images = c.Skim()
		default:
			c.Skim()
		}
	}
	if parts != nil && (content == nil || string(content) == "null") {
		content = parts
	}
	t.speaks(who)
	t.compacts = t.compacts || string(kind) == "compaction_trigger"
	switch who {
	case speakerSystem:
		if !done && !t.answered && content != nil {
			c := jsonscan.New(content)
			t.content(&c, &t.opening)
		}
	case speakerPerson:
		switch {
		case done:
		case content == nil:
			// An item that is a piece of content itself.
			t.block(&whole, nil)
		default:
			c := jsonscan.New(content)
			t.content(&c, nil)
		}
		if images != nil {
			t.images(images)
		}
		t.end()
	}
}

// speaks notes who speaks next.
func (t *trail) speaks(who speaker) {
	if who != speakerModel {
		return
	}
	if last := t.steps.back(0); last != nil {
		last.answered = true
	}
	t.answered = true
}

// images reads the images that Ollama has beside a text.
func (t *trail) images(raw []byte) {
	c := jsonscan.New(raw)
	for ok := c.Array(); ok && c.Element() && t.more(); {
		t.person(binarySalt, t.value(&c))
	}
}

// end closes a message that a person wrote.
func (t *trail) end() {
	if last := t.steps.back(0); t.texts > 0 && (last == nil || last.sum != t.here) {
		t.steps.put(step{sum: t.here})
	}
}

// content reads the next value, the content of a message: a string, a block, an
// array of both, or a Gemini Content with its parts. system is where its words
// go; nil stands for a person.
func (t *trail) content(c *jsonscan.Cursor, system *context) {
	switch c.Kind() {
	case '"':
		raw, _ := c.String()
		t.words(raw, system)
	case '[':
		for c.Array(); c.Element(); {
			switch {
			case !t.more():
				c.Skim()
				c.Leave(']')
				return
			case c.Kind() == '"':
				raw, _ := c.String()
				t.words(raw, system)
			default:
				t.block(c, system)
			}
		}
	case '{':
		t.block(c, system)
	default:
		c.Skim()
	}
}

// word returns the next value, if it is a string: one of a few words, which
// nobody has a reason to escape, but anybody may.
func word(c *jsonscan.Cursor) []byte {
	raw, _ := c.String()
	if len(raw) < minEscaped || len(raw) > maxEscaped {
		return raw
	}
	return jsonscan.Text(raw, nil)
}

// With escapes, any such word is written in so many bytes.
const (
	minEscaped = len(`\u0075ser`)
	maxEscaped = 256
)

// block reads the next value, a block of content.
func (t *trail) block(c *jsonscan.Cursor, system *context) {
	// Most results of tools begin like this.
	if c.Past(`{"type":"tool_result"`) {
		c.Leave('}')
		return
	}
	whole := *c
	if !c.Object() {
		c.Skim()
		return
	}
	var words, parts []byte
	empty := true
	var room nameRoom
	for n := 0; ; n++ {
		name, ok := c.Key()
		if !ok {
			break
		}
		if n == maxMembers {
			t.items = maxItems + 1
			c.Skim()
			c.Leave('}')
			return
		}
		switch string(room.read(name)) {
		case "text":
			words = c.Skim()
		case "parts":
			parts = c.Skim()
		case "type":
			if ofTool(word(c)) {
				c.Leave('}')
				return
			}
			continue
		case "toolResult", "functionResponse", "function_response", "functionCall", "function_call":
			c.Skim()
			c.Leave('}')
			return
		case "cache_control", "cachePoint", "cache_point", "thoughtSignature", "thought_signature", "role":
			c.Skim()
			continue
		default:
			c.Skim()
		}
		empty = false
	}
	switch {
	case empty:
	case len(words) > 0 && words[0] == '"':
		t.words(words[1:len(words)-1], system)
	case parts != nil && !t.inParts:
		t.inParts = true
		c := jsonscan.New(parts)
		t.content(&c, system)
		t.inParts = false
	case system != nil:
		system.sum = system.sum.add(binarySalt, t.value(&whole))
	default:
		t.person(binarySalt, t.value(&whole))
	}
}

// ofTool reports whether a block of that type is of a tool or of a model.
func ofTool(kind []byte) bool {
	switch string(kind) {
	case "function_call_output", "function_result", "thinking", "redacted_thinking":
		return true
	}
	return bytes.HasSuffix(kind, []byte("tool_result")) || bytes.HasSuffix(kind, []byte("tool_use"))
}

// words takes in a text, given as it stands between its quotes.
func (t *trail) words(raw []byte, system *context) {
	withPlain(raw, func(text []byte, lent bool) {
		if system != nil {
			system.read(text, lent)
		} else {
			t.read(text, lent)
		}
	})
}

// read takes in a plain text of the system's.
func (s *context) read(text []byte, lent bool) {
	billing, text := cutBilling(text)
	s.subagent = s.subagent || bytes.Contains(billing, []byte("cc_is_subagent=true"))
	if len(text) == 0 {
		return
	}
	s.sum = s.sum.add(textSalt, xxhash.Sum64(text))
	s.places.read(text)
	if s.n == len(s.texts) {
		return
	}
	text = text[:min(len(text), maxOpening)]
	if lent {
		text = bytes.Clone(text)
	}
	s.texts[s.n] = text
	s.n++
}

// read takes in a plain text of a person's.
func (t *trail) read(text []byte, lent bool) {
	words := split(text, t.inject)
	if len(words) == 0 {
		return
	}
	t.person(textSalt, xxhash.Sum64(words))
	t.lastWords = words[:min(len(words), maxOpening)]
	if lent {
		t.room = append(t.room[:0], t.lastWords...)
		t.lastWords = t.room
	}
}

// inject takes in what a client injected. Clients move it about, so its place
// does not matter.
func (t *trail) inject(raw []byte) {
	h := sum{}.add(injectedSalt, xxhash.Sum64(raw))
	t.injections++
	t.all = t.all.plus(h)
	if !t.answered {
		t.injected.sum = t.injected.sum.plus(h)
		t.injected.places.read(raw)
	}
}

// person takes in the digest of something that a person wrote or attached.
func (t *trail) person(salt, h uint64) {
	t.here = t.here.add(salt, h)
	t.texts++
	t.parts.put(t.here)
}
