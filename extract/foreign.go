package extract

import "encoding/binary"

// Applications speak to models in the language of their users: Chinese, Japanese, Korean,
// Russian, German, French, Spanish and Portuguese here. What a side call wants is said by
// words of the same kinds in each, so one list has those of all: a prompt in one language
// has hardly any of the others.

// foreignWish is soleWish for prompts in other languages than English. alone says that the
// prompt is all that a person wrote, who may want something like it: then the
// conversation must be called the one at hand.
func foreignWish(text []byte, alone bool) Class {
	switch lower := foreignBeginning(text); {
	case lower == nil, foreignOthers.in(lower), alone && !talkAtHand.in(lower):
	case foreignTitles.in(lower) && (talkAtHand.in(lower) || briefWords.in(lower)):
		return Auxiliary
	case foreignSummaries.in(lower):
		return Compaction
	}
	return Turn
}

// foreignBeginning is loweredBeginning of a text, or nil if it is all ASCII, as most are.
func foreignBeginning(text []byte) []byte {
	var all uint64
	for rest := text; len(rest) >= 8; rest = rest[8:] {
		all |= binary.LittleEndian.Uint64(rest)
	}
	if all&0x8080808080808080 == 0 {
		return nil
	}
	return loweredBeginning(text)
}

var (
	foreignTalks = []string{
		"会话", "对话", "聊天", "對話", "会話", "チャット", "대화", "иалог", "разговор",
		"unterhaltung", "gespräch", "konversation", "conversation", "conversación", "conversa",
	}
	foreignTitles = signs{
		{"标题", "標題", "タイトル", "제목", "назван", "заголов", "titel", "titre", "título"},
		foreignTalks,
		{"生成", "总结", "命名", "作成", "付け", "생성", "작성", "генерир", "придума", "созда", "erstell", "génèr", "gener", "gere ", "crea", "crie "},
	}
	// talkAtHand is how the conversation is called that is shown, or that has the title.
	talkAtHand = signs{{
		"会话标题", "对话标题", "聊天标题", "以下对话", "以下会话", "以下聊天", "下面的对话", "上面的对话", "这段对话",
		"会話のタイトル", "以下の会話", "この会話", "대화 제목", "다음 대화", "이 대화", "этого диалога", "следующ",
		"konversationstitel", "diese unterhaltung", "dieses gespräch", "folgende", "bisherige", "cette conversation", "esta convers", "títulos de convers",
	}}
	briefWords = signs{{
		"字内", "字以内", "个字", "不超过", "简短", "简洁", "短い", "文字以", "のみ", "이내", "짧은", "коротк", "только",
		"kurz", "nur ", "court", "uniquement", "corto", "curto", "apenas",
	}}
	// A summary that has been made is a part of many prompts, so these are orders.
	foreignSummaries = signs{
		{
			"总结以下", "总结下面", "总结上述", "总结为", "总结成", "概括以下", "概括为", "归纳以下", "归纳为", "压缩为", "压缩成", "摘要助手", "总结助手",
			"要約してください", "要約を作成", "요약해", "요약하", "суммируй", "резюмируй", "fasse ", "fassen sie ", "résume ", "resume ", "resuma ",
		},
		foreignTalks,
	}
	foreignQuestions = signs{
		{"独立", "完整的问题", "독립", "самостоятельн", "eigenständig"},
		{"改写", "重写", "書き換え", "다시 작성", "формулируй", "formulier"},
		{"历史", "对话", "履歴", "대화", "стори", "verlauf"},
	}
	// foreignOthers are what else has a title or is summarized, and said to those who answer
	// as well.
	foreignOthers = signs{{
		"文章", "工单", "视频", "帖子", "邮件", "会议", "会議", "然后", "再回答", "后回答", "并回答", "每次", "必要时", "答えて", "и ответь", "und beantworte",
	}}
)
