// Asks Prometheus over HTTP, and makes data frames of its answers, as Grafana's data source does on Grafana's server.
import { FieldType, rangeUtil, toDataFrame } from '@grafana/data';

// What the data source is told of Prometheus: it scrapes each second here.
const SCRAPE_SECONDS = 1;

/** What a panel's targets find: frames, in their order. `columns` is how many points fit beside each other. */
export async function ask(targets, range, columns, variables) {
    const shortest = `${SCRAPE_SECONDS}s`;
    const step = Math.max(rangeUtil.calculateInterval(range, columns, shortest).intervalMs / 1000, SCRAPE_SECONDS);
    const rate = Math.max(step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS);
    const filled = fill({ ...variables, __rate_interval: `${rate}s`, __interval: `${step}s` });
    const found = await Promise.all(targets.map(async target => {
        const result = await query(filled(target.expr), target, range, step);
        return target.format === 'table' ? table(result, target) : result.map(one => series(one, target, step));
    }));
    return found.flat();
}

/** Puts variables in the places of their names. */
export const fill = variables => text =>
    text.replace(/\$\{(\w+)\}|\$(\w+)/g, (whole, braced, bare) => variables[braced ?? bare] ?? whole);

async function query(expr, target, range, step) {
    const end = range.to.valueOf() / 1000;
    const from = range.from.valueOf() / 1000;
    const asked = target.range
        ? ['query_range', { query: expr, start: Math.ceil(from / step) * step, end, step }]
        : ['query', { query: expr, time: end }];
    const answer = await (await fetch(`/api/v1/${asked[0]}?${new URLSearchParams(asked[1])}`)).json();
    if (answer.status !== 'success') {
        throw new Error(`${answer.error}: ${expr}`);
    }
    return answer.data.result;
}

function series({ metric, values, value }, target, step) {
    const points = values ?? [value];
    const named = { displayNameFromDS: target.legendFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? '') };
    return toDataFrame({
        refId: target.refId,
        name: named.displayNameFromDS,
        fields: [
            { name: 'Time', type: FieldType.time, config: { interval: step * 1000 }, values: points.map(([at]) => at * 1000) },
            { name: 'Value', type: FieldType.number, labels: metric, config: named, values: points.map(([, text]) => Number(text)) },
        ],
    });
}

// One row for each series: a column for each label, and one for the value.
function table(result, target) {
    const labels = [...new Set(result.flatMap(one => Object.keys(one.metric)))].filter(name => name !== '__name__').sort();
    const column = (name, type, of) => ({ name, type, config: {}, values: result.map(of) });
    const value = `Value #${target.refId}`;
    return toDataFrame({
        refId: target.refId,
        fields: [
            column('Time', FieldType.time, one => one.value[0] * 1000),
            ...labels.map(label => column(label, FieldType.string, one => one.metric[label] ?? '')),
            column(value, FieldType.number, one => Number(one.value[1])),
        ],
    });
}
