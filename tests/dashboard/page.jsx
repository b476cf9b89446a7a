// A page that draws packaging/grafana/rotakey.json with Grafana's own front-end libraries, out of a real Prometheus. It is
// not Grafana: what fetches, places and composes is here, what prepares data and draws is theirs. A panel of a type that they
// cannot draw is named and left empty.
import { createTheme, dateTime, EventBusSrv, ThemeContext } from '@grafana/data';
import { GlobalStyles, PanelChrome, PanelContextProvider } from '@grafana/ui';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

import { ask, fill } from './ask.js';
import { isEmpty, PANELS } from './panels.jsx';
import { prepare } from './prepare.js';
import dashboard from '../../packaging/grafana/rotakey.json';

// As in Grafana's grid: 24 columns, rows of 30 pixels, 8 between.
const ROW = 30;
const BETWEEN = 8;
const HEAD = 56;
const WIDTH = 1440;
const column = (WIDTH - BETWEEN) / 24;

const theme = createTheme({ colors: { mode: 'dark' } });
const seconds = Number(new URLSearchParams(location.search).get('seconds') ?? 120);
const now = Date.now();
const range = { from: dateTime(now - seconds * 1000), to: dateTime(now), raw: { from: `now-${seconds}s`, to: 'now' } };
const chosen = { datasource: 'prometheus', profile: dashboard.templating.list.find(one => one.name === 'profile').allValue };
const replaceVariables = fill(chosen);
const context = { eventsScope: 'global', eventBus: new EventBusSrv() };

function Drawn({ panel, data, width, height }) {
    if (data instanceof Error) {
        return <p className="said">{data.message}</p>;
    }
    if (!PANELS[panel.type]) {
        return <p className="said">Not drawn: the type &ldquo;{panel.type}&rdquo; is in Grafana&rsquo;s program, not in its libraries.</p>;
    }
    if (isEmpty(data)) {
        return <p className="said">{panel.fieldConfig.defaults.noValue ?? 'No data'}</p>;
    }
    return PANELS[panel.type]({ panel, data, width, height, range, theme, replaceVariables });
}

/** One word for how a panel came out. */
function outcome(panel, data) {
    if (data instanceof Error) {
        return `failed: ${data.message}`;
    }
    if (isEmpty(data)) {
        return 'empty';
    }
    return PANELS[panel.type] ? 'drawn' : 'not drawn';
}

function place({ x, y, w, h }) {
    return {
        position: 'absolute',
        left: BETWEEN + x * column,
        top: HEAD + y * (ROW + BETWEEN),
        width: w * column - BETWEEN,
        height: h * (ROW + BETWEEN) - BETWEEN,
    };
}

function Page({ found }) {
    return (
        <ThemeContext.Provider value={theme}>
            <GlobalStyles />
            <PanelContextProvider value={context}>
                <header>
                    <b>{dashboard.title}</b>
                    <span>Profile: All</span>
                    <span>Last {seconds} seconds, {range.to.utc().format('YYYY-MM-DD HH:mm:ss')} UTC</span>
                    <i>Drawn with @grafana/ui 11.6.16 out of Prometheus; not Grafana itself</i>
                </header>
                {dashboard.panels.map(panel => {
                    const style = place(panel.gridPos);
                    const data = found.get(panel.id);
                    return (
                        <div key={panel.id} style={style} data-title={panel.title} data-outcome={outcome(panel, data)}>
                            <PanelChrome title={panel.title} description={panel.description} width={style.width} height={style.height}>
                                {(width, height) => <Drawn panel={panel} data={data} width={width} height={height} />}
                            </PanelChrome>
                        </div>
                    );
                })}
            </PanelContextProvider>
        </ThemeContext.Provider>
    );
}

async function find(panel) {
    try {
        const frames = await ask(panel.targets, range, panel.gridPos.w * column, chosen);
        return await prepare(panel, frames, { theme, replaceVariables });
    } catch (error) {
        return error;
    }
}

const all = await Promise.all(dashboard.panels.map(async panel => [panel.id, await find(panel)]));
createRoot(document.getElementById('page')).render(<Page found={new Map(all)} />);
