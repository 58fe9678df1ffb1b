package extract

// How trails work, for those who have to change them.
//
// Every request of a conversation repeats all that was said before. The trail turns that into
// keys. A key is a digest of a person's words, up to the end of some message, and of a
// setting: what surrounds the words, such as the system prompt. The same words in the same
// setting have the same key in every later request. A weaker setting says less than the
// whole one: only the directories that it names, the system prompt without what was injected
// (and, mostly, without times of day), or nothing at all. A request has these keys:
//
//   - The Session's ID, its own key, is of all words in the whole setting.
//   - Aliases, under which the session is stored as well, are of all words in weaker
//     settings. A later request finds the session by them if the whole setting has changed
//     in between, such as a date in it.
//   - Continues, by which the request looks for its predecessors if its ID is not known,
//     are of the calls that it shows (see calls.go), of fewer and fewer words in the whole
//     setting, and then of the same in weaker ones. What is found by them is taken for the
//     same conversation. So weaker settings are used only with words that a model has
//     answered: without an answer, there may have been no earlier request, and the one that
//     is found may be a stranger's.
//   - Near, by which the request looks for a good place to start at, are of such words in
//     no setting at all, and of the last few of them alone. Strangers may say the same, so
//     only the target is taken over. These keys place side calls, which have the
//     conversation under another system prompt; a conversation that has lost its
//     beginning, or what its client had added to the last message (before or after the
//     question in texts of their own, or around it in one); one that begins with something
//     else in each turn; and one that is in the system prompt or in a single text.
//
// The files:
//
//	trail.go       the extractor, and what is collected of a request
//	keys.go        the settings and the keys that are made of that
//	messages.go    the walk through messages
//	speakers.go    who speaks in a message
//	content.go     the walk through what is said in a message
//	system.go      system prompts, beside the messages and among them
//	greetings.go   what a model says before the first words
//	injected.go    what clients inject into the words of a person, and how it is removed
//	bots.go        the same for bots in messengers
//	calls.go       the calls of tools, for agents that do not show their question
//	repeated.go    the end of the system prompt where a person's text repeats it
//	framed.go      the question inside what an application writes around it
//	pictures.go    what people attach to a question
//	addresses.go   the addresses of pictures, which some clients sign anew
//	places.go      the directories that a setting names
//	times.go       a system prompt without the times of day in it
//	browseruse.go  a message of browser-use, which has a task and all its steps
//	transcript.go  the conversation in one text of a person
//	history.go     a conversation in the system prompt or in such a text, by its last questions
//	labels.go      the labels of people in such a text, such as "User:"
//	legacy.go      prompts without messages, with the conversation in one text
//	plain.go       the form in which texts are compared, however they were escaped
//	sum.go         the digests
//
// The tests: TestTrailOverWireFormats says the same in each wire format (add a new one to
// wire_test.go); TestTrailDoesNotDependOnStyle, TestTrailOfAnything and FuzzTrail write one
// body in many ways; TestTrailDependsOnEveryCharacter, TestTraps and
// TestCorpusSessionsAreApart keep conversations apart; TestWhatIsSentAgainGoesOn checks that
// a conversation goes on whatever was removed from its words; and
// TestMessagesOfTheUsualFormAreNoOthers compares the quick way through a message with the
// careful one.
//
// The walk is hot: for a request without an id, it may go through megabytes. It goes
// through each message once, hashes texts in place, mostly without a copy, and keeps no more
// of them than the fields of a trail. Answers and results of tools, most of the text, are
// skipped 64 bytes at a time (jsonscan's Leave and Skim). If nobody has read a large body
// yet, index.go has the messages read in passing, while it looks for the members of the body.

// Trail returns an Extractor that recognises a conversation by its messages, for clients
// that send no id. Its Source is "trail".
//
// The trail of a request is a chain of digests k1, k2, ..., kn over the system prompt and
// then what people wrote and attached, such as images. Each is over all that came before.
// The session's ID is kn. Of the fifteen keys before it, the session continues the last
// one at which an earlier request ended. So a turn leads back to the turn before it, and a
// fork or a rollback to the trunk; two conversations part at the first word that differs.
// What models, tools and clients add does not count:
//
//   - answers, thinking, tool calls and their results are left out, and so are ids,
//     cache_control, the list of tools and, in the address of a picture, a signature with
//     its date and the like. But what stands for a compacted conversation
//     counts: OpenAI's items, and Anthropic's blocks if no words come before them. And
//     answers right before the first words, such as a summary or a greeting, go with the
//     system prompt, and so does the id of the first call if its result comes before all words;
//   - "x" and [{"type":"text","text":"x"}] are the same, and so is every way to escape,
//     indent and order JSON; white space around a text does not count; a system prompt is
//     the same beside the messages and as the first of them;
//   - the x-anthropic-billing-header line is not part of the system prompt;
//   - <system-reminder> blocks, <environment_context> and the like are nobody's words if
//     words remain without them: those before the first answer, and files that are shown
//     before the first words, go with the system prompt; later ones are left out, except
//     for the directory that Goose names. (The one before a question of Claude Code's /btw
//     is part of that.) Messages of the system after the first words are treated like them;
//   - paragraphs at the end of a person's text that repeat the end of the system prompt
//     are left out as well.
//
// Prompt templates make one text of a whole conversation. If that ends in a line such as
// "AI:", it continues an earlier text that is its own beginning, up to such a line. If it
// ends in the question at hand, in a line such as "User: And Bergen?", and there is no
// other text, it continues one that is its beginning up to any line of a person, whatever
// the labels are.
//
// Some clients change what surrounds the words from one turn to the next: the system prompt
// names another model or date, or a reminder moves. So a turn whose own trail leads
// nowhere continues a request with the same texts in the same place (the directories
// that the injected blocks or, if these name none, the system prompt names, if any), or
// under a system prompt that is the same but for times of day, whatever goes with it.
//
// If there is no such request, the turn starts at the target of one with the same texts in
// any setting, as side calls of an agent have them, or of one that ended in the same
// last texts: those on both sides of an answer, at least two different ones with at
// least 32 bytes together (a picture counts for 11). So these mostly stay where they are:
//
//   - a conversation of which a client sends only the last part, with at least three
//     texts of a person, whether it leaves out the rest or sums it up;
//   - one that has something else before the first question in each turn, such as a
//     file that is open. If that is a text of its own, the second turn stays under a system
//     prompt that is the same but for times of day; if it is in one text with the
//     question, the fourth turn is the first that stays;
//   - one whose client adds something to the last message, such as a picture of the page,
//     and leaves it out of the next turn, or has it after the question from then on.
//     What is added may come before or after the question, or be several texts after it.
//     Under a system prompt that is the same but for times of day, it may also be around
//     the question in one text, if the question has fewer than 256 bytes and is the first
//     paragraph, the last one, the last line (with or without a label), or the line after
//     "Question:", "## Question" or the like near either end (in English and some other
//     languages).
//
// An agent may call tools so often for one question that its client leaves out all words,
// or has summed them up. So a request also continues one that ended in the result of a call
// if it shows the same result, unless it ends in that. The id of the call must look random (in
// Gemini, no ids are looked for); if it is hexadecimal, as digests of a call are, the first 64
// bytes of the result must be the same, too. If there are no words, the first such result stands
// in for them.
//
// All else that goes by less than the whole trail requires a sign that there was an earlier
// request: an answer in the messages (one that they end in does not count, since clients begin
// answers for the model to go on with), or the conversation in the system prompt or in one
// text, where each line of a person begins with "User:" or the like. A prompt without messages
// is looked up by the 256 bytes before each place at which an earlier one may have ended.
//
// Two conversations that begin alike, to the letter, are one until they part. A client
// that sends only the last few messages, or rewrites early ones at every turn, has a new
// session each time, though often at the same target. So has one that writes more into
// the last text and leaves that out later, unless it is known to be injected. Any rule
// that led such clients back would put strangers together.
//
// Trail reads OpenAI chat, Responses and legacy completions, Anthropic Messages, Gemini and
// its Code Assist envelope, Bedrock Converse, Ollama, Cohere, Vercel's AI SDK, and the
// texts that Amazon Titan and Hugging Face take. It goes by the members of the body. The
// path matters for two of them only: Converse's promptVariables, and a message beside
// neither a model nor a chat_history, which only Cohere on Bedrock takes.
//
// There is no trail in a body that continues something on the server (previous_response_id
// and the like), since it does not show its conversation; in a prompt beside a history of
// another form; in a body in which nobody wrote anything, and no call has a random id; or in
// one of more parts than any conversation has: 32,768 messages, blocks, values and injected
// elements together. Four members of messages and blocks, parameters of a picture's address, or
// lines that end texts and say who is to speak count as one of these, and a text that begins with
// '<' as three, with '[' as two. If a message has two roles, or a block two types, either may
// count, and what is read again to find out counts again.
func Trail() Extractor { return trailExtractor{} }

type trailExtractor struct{}

// Extract implements Extractor.
func (trailExtractor) Extract(r *Request) (Session, bool) {
	if !r.readWithTrail() || r.delta() {
		return Session{}, false
	}
	s, ok := r.trail().session()
	if ok {
		r.name(&s, s.Source, s.ID, s.Confidence)
	}
	return s, ok
}

// trail returns the trail of a body that has been read and found good. It is made once per
// request, and not changed from then on.
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

// newTrail makes the trail of a body. If its messages were read in passing, they are not
// read again, unless that has left it unsure.
func (r *Request) newTrail() *trail {
	t := r.index.trailInPassing
	if t == nil {
		t = &trail{work: r.index.workInVain}
		t.readMessages(r)
	}
	if t.unsure {
		*t = trail{careful: true, work: t.work}
		t.readMessages(r)
	}
	t.readRest(r)
	if t.silent() {
		t.readLegacy(r)
	}
	return t
}

// Opening returns a digest of how the conversation begins: the system prompt
// and what a person wrote before the first answer. Requests with one explicit
// id and many different openings belong to many conversations. It reports false
// if the body shows no opening, or one of more than a quarter of what [Trail] takes; a
// legacy prompt does not show where it began. Every process of one release gives the same
// digest.
func (r *Request) Opening() (uint64, bool) {
	if !r.read() || r.delta() {
		return 0, false
	}
	t := trail{openingOnly: true, careful: true, work: maxWork * 3 / 4}
	t.readMessages(r)
	t.readRest(r)
	_, s := t.instructions()
	s = s.join(endSalt, t.here)
	return s[0], t.texts > 0 && t.work <= maxWork
}

// A trail collects what the keys of a request are made of, and what tells its class.
type trail struct {
	work       int32 // done so far, in quarters of an item; beyond maxWork, the request has no trail
	lines      int32 // that transcript has looked at
	inParts    bool  // within the parts of a block: parts in these do not count, so that each text is read once
	ignoreRest bool  // the rest of the current message counts for nothing: see readBrowserUse, anotherSpeaks

	// What surrounds the words.
	system      systemPrompt // the system prompt beside the messages
	systemAmong systemPrompt // the messages of the system before the first answer
	injected    struct {     // what clients injected before the first answer, and what else counts like that
		sum    sum    // in any order
		places places // the directories that it names
	}
	answered     bool   // a model has spoken
	acted        bool   // since then, a tool has
	endsInAnswer bool   // since then, nobody but the system has: see followed
	greeting     uint64 // the answers right before the first words: see greet

	// The words, and what people attached to them.
	texts      int32      // how many there were so far
	injections int32      // how many texts were injected
	here       sum        // the chain over all of texts
	steps      ring[step] // the chain at the end of each of the last messages
	textSteps  ring[sum]  // the chain at the end of each of the last texts of the current message
	since      stretch    // what was written since the last answer
	calls      calls      // the results of tools that are needed

	answeredHere sum      // the chain over the words before the last answer
	openingText  uint64   // the digest of the last text before the first answer, 0 if an image follows
	lastText     uint64   // the digest of the last text
	firstText    uint64   // the digest of the first text since the last answer, 0 if an image is before it
	pictures     pictures // since the last answer

	asked     uint64   // the digest of the first text as a transcript that ends in a question, or 0
	textTails []uint64 // of a prompt without messages: see keepTails

	// What was injected anywhere, which stands in for the words as long as there are none.
	allInjected sum // in any order

	// How the system prompt ends: the last message of the system before the first answer or, if
	// there is none, the prompt beside the messages. See cutRepeated and history.
	ending     []byte // at most maxEnding of it
	endingRoom []byte // holds ending if the text is not plain in the body
	ends       endSet // how the texts of people end

	// For Request.Class.
	last     []byte // the last text of a person, or of the system after an answer; without its middle if in room
	room     []byte // holds how it opens and how it ends if it is not plain in the body
	compacts bool   // there is a compaction_trigger, which has OpenAI's models make a compaction
	tools    bool   // there are tools among the messages, where newer versions of Codex have them

	openingOnly bool // the walk stops at the first answer

	// If the role of a message comes first, as it mostly does, the content counts as soon as it
	// is read. If a later member may change what an earlier one means, unsure is set. Then
	// everything is read again, carefully: each message to its end before anything in it counts.
	careful, unsure bool
}

// said returns the chain over what people wrote so far or, if they wrote nothing, the digest of
// what was injected.
func (t *trail) said() sum {
	if t.texts == 0 {
		return t.allInjected
	}
	return t.here
}

// silent reports whether the messages have neither words of people nor injected texts.
func (t *trail) silent() bool { return t.texts+t.injections == 0 }

// maxItems bounds the items that a trail is made from: messages, blocks, values and injected
// elements. Four members of messages and blocks, looks at parameters of addresses, or cues count as
// one item, and a text that begins with '<' counts as two more, with '[' as one more. What is read
// again counts again. No conversation has so many; a body with more has no trail, and no work is
// wasted on the rest of it.
const (
	maxItems = 1 << 15
	maxWork  = 4 * maxItems
)

// more counts an item, and reports whether there may be one more.
func (t *trail) more() bool {
	t.work += 4
	return t.work <= maxWork
}

// moreMembers is more for a member of a message or a block.
func (t *trail) moreMembers() bool {
	t.work++
	return t.work <= maxWork
}

// giveUp makes the request have no trail.
func (t *trail) giveUp() { t.work = maxWork + 1 }

// maxKept is how many bytes of a text are kept from its beginning, in its plain form, to tell
// what kind of call the request is.
const maxKept = 256

// maxLastEnd is how many bytes are kept from the end of a person's text, since a wish may come
// after what it is about.
const maxLastEnd = 400

// maxEnding is how many bytes are kept from the end of a system prompt, since a person's text
// may repeat them.
const maxEnding = 8 << 10

// A step is the state of the trail where a message of a person ended, or where one without
// words was answered.
type step struct {
	sum      sum
	since    uint64 // the sum of the stretch that it is in, so far, and its bytes: apart, to save room
	bytes    uint8
	answered bool // a model spoke next
	opening  bool // none had spoken before
}

// putStep notes that a turn ends here, unless nothing was said since the end of the last one.
func (t *trail) putStep() {
	said := t.said()
	if last := t.steps.back(0); last == nil || last.sum != said {
		t.steps.put(step{sum: said, since: t.since.sum, bytes: t.since.bytes, opening: !t.answered})
	}
}

// A stretch is what people wrote between two answers, or have written since the last one.
type stretch struct {
	sum   uint64 // 0 if there is nothing
	bytes uint8  // of texts, and pictureBytes for each image, but no more than minTail
}

// A ring keeps the last few values that were put in. There is room for all steps or textSteps
// that are needed.
type ring[E any] struct {
	items [max(maxSteps, maxTexts)]E
	n     int // how many were put in
}

func (r *ring[E]) put(e E) {
	r.items[r.n%len(r.items)] = e
	r.n++
}

// back returns the last value for 0, the one before it for 1 and so on, or nil.
func (r *ring[E]) back(i int) *E {
	if i >= r.n || i >= len(r.items) {
		return nil
	}
	return &r.items[(r.n-1-i)%len(r.items)]
}
