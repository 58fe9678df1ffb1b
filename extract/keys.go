package extract

import "encoding/binary"

// This file makes the keys of a request, and the Session that has them, of what a trail has
// collected. trail.go says what settings and keys there are.

// These bound how far back a session looks for what it continues. Its predecessor
// is one step back, unless the client has cut away many messages at once. (The comment on
// Trail has a number of this as well.)
const (
	maxSteps = 16 // messages, the last one included
	maxTexts = 16 // texts of the last message, for clients that merge messages into one
	maxNear  = 4  // messages, in each of the weaker settings
	minTail  = 32 // bytes of the last messages, for a conversation to be known by these alone

	// pictureBytes is how many bytes of minTail a picture counts as. Agents mostly begin with
	// the same one or two, such as that of an empty page, but three tell them apart.
	pictureBytes = minTail/3 + 1

	maxKeys = 66 // that a request may have
)

// session returns the session that the trail leads to.
func (t *trail) session() (Session, bool) {
	if t.work > maxWork {
		return Session{}, false
	}
	begin, first := t.calls.first.sums() // of the call that the messages begin with, if any
	if t.silent() && begin == (sum{}) {
		return Session{}, false
	}
	in := t.settings(begin)
	last, results := t.calls.end()
	talk := t.history(&in)
	keys := make(keyBuffer, 0, maxKeys*keySize) // room for all of them, so it stays on the stack
	if t.silent() {
		keys = keys.add(in.whole, first)
	}
	keys = t.ownKeys(keys, &in).put(last).add(talk.in[0], talk.here).add(talk.in[1], talk.here)
	aliases := len(keys) / keySize
	for _, result := range results {
		keys = keys.put(result)
	}
	keys = t.earlierKeys(keys, &in)
	continues := len(keys) / keySize
	keys = t.nearKeys(keys, &in).add(talk.in[0], talk.before).add(talk.in[1], talk.before)
	for _, tail := range t.textTails[min(1, len(t.textTails)):] {
		keys = keys.add(alone, sum{tail, tailSalt})
	}
	ids := keys.ids()
	return Session{
		Source:     "trail",
		ID:         ids[0],
		Confidence: Derived,
		Aliases:    ids[1:aliases:aliases],
		Continues:  ids[aliases:continues:continues],
		Near:       ids[continues:],
	}, true
}

// The settings of a request. All but whole are weaker. place is zero if it would say nothing,
// and systemAlone if it would be the same as whole.
type settings struct {
	whole       sum
	place       sum // the directories
	system      sum // the system prompt without times of day, whatever was injected; never zero
	systemAlone sum // what whole would be if nothing had been injected
	framed      sum // system with a salt of its own, for what may be the question in the last text

	systemIsLess bool // system says less than whole
}

// alone is the setting of words that stand alone, pages the same for words before a page.
var alone, pages = sum{}, sum{}.join(pageSalt, sum{})

// settings returns the settings of messages that begin with a call, or not.
func (t *trail) settings(begin sum) (in settings) {
	system, timeless := t.instructions()
	if begin != (sum{}) {
		system, timeless = system.join(callSalt, begin), timeless.join(callSalt, begin)
	}
	in.whole = system.join(endSalt, t.injected.sum)
	if place := t.place(); place.n > 0 {
		in.place = place.sum.join(placeSalt, begin)
	}
	in.system = timeless.join(systemSalt, sum{})
	in.framed = in.system.join(framedSalt, sum{})
	in.systemIsLess = timeless != system
	if t.injected.sum != (sum{}) {
		in.systemIsLess = true
		in.systemAlone = system.join(endSalt, sum{})
	}
	return in
}

// ownKeys adds the keys that the session is stored under: its own, and aliases. Later requests
// find those in the settings alone, pages and framed by their Near, and all others by their
// Continues.
func (t *trail) ownKeys(keys keyBuffer, in *settings) keyBuffer {
	// All words, in ever weaker settings.
	said := t.said()
	keys = keys.add(in.whole, said)
	if in.place != (sum{}) {
		keys = keys.add(in.place, said)
	}
	if in.systemIsLess {
		keys = keys.add(in.system, said)
	}
	keys = keys.add(alone, said)
	if t.asked != 0 && t.texts == 1 {
		transcript := sum{}.add(textSalt, t.asked)
		keys = keys.add(in.whole, transcript).add(alone, transcript)
	}

	// The last words, for when the beginning is cut away.
	tail, bare := t.tail(stretch{}, 0)
	keys = keys.add(alone, tail).add(alone, bare)

	// What may be left of the words once the client has left out what it added to the last
	// message.
	trunk := t.trunk()
	question := t.question(trunk)
	keys = keys.add(alone, trunk).add(alone, question).add(pages, t.page())
	if first := t.reminded(); first != trunk && first != said && first != question {
		keys = keys.add(alone, first)
	}
	if !t.answered {
		keys = keys.add(in.framed, question)
	}
	t.framed(func(asked uint64, bytes int, around pictures) {
		end, _ := t.tail(around.stretch(asked, bytes), 1)
		if end == (sum{}) {
			end = around.chain(t.answeredHere, asked)
		}
		keys = keys.add(in.framed, end)
	})
	if len(t.textTails) > 0 {
		keys = keys.add(alone, sum{t.textTails[0], tailSalt})
	}
	return keys
}

// earlierKeys adds the keys of the requests that this one may continue: of fewer and
// fewer words in the whole setting, and then of those that were answered in weaker ones.
func (t *trail) earlierKeys(keys keyBuffer, in *settings) keyBuffer {
	said := t.said()
	for i := range maxTexts {
		if st := t.textSteps.back(i); st != nil && *st != said {
			keys = keys.add(in.whole, *st)
		}
	}
	for i := range maxSteps {
		if st := t.steps.back(i); st != nil && st.sum != said {
			keys = keys.add(in.whole, st.sum)
		}
	}
	for _, weaker := range [...]sum{in.place, in.system, in.systemAlone} {
		for i := 0; i < maxNear && weaker != (sum{}); i++ {
			if st := t.steps.back(i); st != nil && st.answered {
				keys = keys.add(weaker, st.sum)
			}
		}
	}
	return keys
}

// nearKeys adds the keys of requests whose target is a good place to start at.
func (t *trail) nearKeys(keys keyBuffer, in *settings) keyBuffer {
	newest := true
	var end, bare sum // a tail
	var first sum     // the question that begins the conversation, if something was before it
	var asked sum     // the first message of the last turn, if something was after it
	setting := alone  // of that
	for i := range maxNear {
		if st := t.steps.back(i); st != nil && st.answered {
			keys = keys.add(alone, st.sum)
			if !newest || t.acted {
				keys = keys.add(pages, st.sum)
			}
			if newest {
				end, bare = t.tail(stretch{}, i)
				keys = keys.add(alone, end).add(alone, bare)
				if st.opening && t.openingText != 0 {
					first = sum{}.add(textSalt, t.openingText)
				}
				if asked = t.turnOpening(i); st.opening { // strangers may be shown the same before they ask
					setting = in.framed
				}
			}
			newest = false
		}
	}
	if keys = keys.add(in.framed, t.answeredHere).add(in.framed, end).add(in.framed, bare); first != t.answeredHere {
		keys = keys.add(in.framed, first)
	}
	keys = keys.add(setting, asked)
	if t.endsInAnswer { // all words were answered, as in a side call about the conversation so far
		keys = keys.add(alone, t.here)
	}
	return keys
}

// instructions returns the digest of the system prompt, and of the same without times of
// day. A conversation may change to a model that its client speaks to in another
// protocol, so it makes no difference whether the prompt is beside the messages or among
// them.
func (t *trail) instructions() (system, timeless sum) {
	return either(t.system.sum, t.systemAmong.sum), either(t.system.timeless, t.systemAmong.timeless)
}

// either returns the digest of a system prompt that has one of two parts, or both.
func either(beside, among sum) sum {
	switch (sum{}) {
	case beside:
		return among
	case among:
		return beside
	}
	return beside.join(endSalt, among)
}

// place returns the directories that the conversation takes place in: those that clients
// inject or, if there are none, those of the system prompt.
func (t *trail) place() places {
	if t.injected.places.n > 0 {
		return t.injected.places
	}
	return t.system.places.and(t.systemAmong.places)
}

// tail returns the digest of what people wrote last, leaving out the last i of their messages, but
// with newest after those, unless that is zero: of the last few stretches. It takes as few as have
// minTail bytes, but at least two different ones, since many people say the same one thing. The
// bytes of a stretch that repeats the one after it do not count: agents that nobody watches are
// told to go on again and again. If the conversation begins with the first of these stretches, and
// that has several texts, tail also returns the digest with only the last of these texts: before
// it, there may be a summary of what was left out. Both are zero if there are too few.
func (t *trail) tail(newest stretch, i int) (s, bare sum) {
	h, last := newest.sum, newest.sum
	bytes, n := int(newest.bytes), 0
	if newest.sum != 0 {
		n++
	}
	for st := t.steps.back(i); st != nil; st = t.steps.back(i) {
		if i++; n > 0 && !st.answered || st.since == 0 {
			continue // the step after it has the same words and more, or there are no words
		}
		before := h * 37 // not 31, as in person, or two stretches would be the same as one of two texts
		h = before + st.since
		if st.since != last {
			n++
			bytes += int(st.bytes)
		}
		if last = st.since; n > 1 && bytes >= minTail {
			if first := before + t.openingText; st.opening && t.openingText != 0 && first != h {
				bare = sum{first, tailSalt}
			}
			return sum{h, tailSalt}, bare // 64 bits are enough for a place to start at
		}
	}
	return sum{}, sum{}
}

// trunk returns the chain over everything but the last message, or the last text or image of
// it, if there is something else between the last answer and that. Many clients add to what a
// person asks, such as what they have looked up or a picture of the page, and leave it out of
// the next turn. Some add it before the question: see question.
func (t *trail) trunk() sum {
	last, before := t.steps.back(0), t.steps.back(1)
	switch {
	case last == nil || last.answered || last.sum != t.here: // or a prompt without messages
	case t.textSteps.back(1) != nil:
		return *t.textSteps.back(1)
	case before != nil && !before.answered:
		return before.sum
	}
	return sum{}
}

// reminded returns the chain over the words that were answered and the first text since then,
// without what follows. Agents are reminded of several things there, and of others in
// their next step.
func (t *trail) reminded() sum {
	if t.firstText == 0 {
		return sum{}
	}
	return t.answeredHere.add(textSalt, t.firstText)
}

// question returns the chain over the words that were answered and the last text, without
// what is between the last answer and that, for requests that have a trunk. It is zero if
// what came last is not a text, or did not count, or if nothing is left out.
func (t *trail) question(trunk sum) sum {
	if trunk == (sum{}) || t.pictures.last() || t.ignoreRest {
		return sum{}
	}
	if question := t.answeredHere.add(textSalt, t.lastText); question != trunk {
		return question
	}
	return sum{}
}

// turnOpening returns the chain up to the first message between two answers, given the last one,
// the step i. It is zero if that is the only one. Khoj shows what it has looked up before the
// current question, and after those of earlier turns.
func (t *trail) turnOpening(i int) (s sum) {
	for i++; ; i++ {
		st := t.steps.back(i)
		if st == nil || st.answered {
			return s
		}
		s = st.sum
	}
}

// page returns the chain over all words before the last message, if that is a long text, with
// or without an image after it, or nothing but a few images or sounds; and if it comes right
// after an answer to more than a greeting, with which many begin. Some clients leave such a
// message out of the next turn, or most of it: agents show pages like that, others what they
// have looked up, and voice agents replace sound by a transcript. But many applications ask
// one question after another, each below the same examples. So the next turn looks for it
// only where other words were said since, or where a tool spoke last.
func (t *trail) page() sum {
	last, before := t.steps.back(0), t.steps.back(1)
	if last == nil || last.answered || before == nil || !before.answered {
		return sum{}
	}
	texts := int(t.texts)
	switch {
	case t.pictures.surround(0, t.since):
		texts -= int(t.pictures.n) - 1
	case len(t.last) < maxLastEnd || t.textSteps.back(1) != nil && !t.pictures.last():
		return sum{}
	case t.pictures.last():
		texts-- // the image does not count
	}
	if texts <= 2 && before.bytes < minTail {
		return sum{}
	}
	return before.sum
}

// A keyBuffer holds keys, one after another.
type keyBuffer []byte

const keySize = 16 // bytes

// add appends the key of the words up to here in a setting, unless there are none.
func (k keyBuffer) add(in, here sum) keyBuffer {
	if here == (sum{}) {
		return k
	}
	return k.put(in.join(keySalt, here))
}

// put appends a key that depends on no setting, unless it is zero.
func (k keyBuffer) put(s sum) keyBuffer {
	if s == (sum{}) {
		return k
	}
	k = binary.LittleEndian.AppendUint64(k, s[0])
	return binary.LittleEndian.AppendUint64(k, s[1])
}

// ids returns the keys as ids, which share one piece of memory.
func (k keyBuffer) ids() []string {
	all := string(k)
	ids := make([]string, len(k)/keySize)
	for i := range ids {
		ids[i] = all[i*keySize : (i+1)*keySize]
	}
	return ids
}
