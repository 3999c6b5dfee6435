/** Whether what stands on a timeline is good news or bad. */

const BAD = /created|refired|reopened|failed|overdue|missed|escalat|nobody/;
const GOOD = /resolved|verified|succeeded|identified|cleared/;

export const mood = (event: string): "bad" | "good" | "" => (BAD.test(event) ? "bad" : GOOD.test(event) ? "good" : "");
